/* State of NVML in one process. Lock: fn_nvml.mu, held for short look-ups and never while waiting.
 */
#ifndef FN_NVML_H
#define FN_NVML_H

#include <pthread.h>

#include "../state/atomics.h"
#include "../state/node.h"
#include "api_table.h"
#include "types.h"

#define FN_API __attribute__((visibility("default")))
#define ROW(symbol, parameters) FN_API nvmlReturn_t symbol parameters;
FN_API_TABLE(ROW)
#undef ROW
/* The only one that does not return a code. */
FN_API const char *nvmlErrorString(nvmlReturn_t code);

struct fn_device {
    struct fg_card *card;
    uint32_t card_index; /* in the node's state */
    uint32_t index;      /* among the visible ones */
};

struct fn_nvml {
    pthread_mutex_t mu;
    struct fg_node node; /* opened by the first init, never closed: see fg_node_open */
    _Atomic uint32_t users;
    struct fn_device devices[FG_MAX_CARDS];
};

extern struct fn_nvml fn_nvml;

/* Initialised, the handle is one of ours, and the card answers. */
nvmlReturn_t fn_device_check(const struct fn_device *d);
nvmlReturn_t fn_ready(void);

#endif
