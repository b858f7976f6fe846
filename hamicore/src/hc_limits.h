/* The agent page: which cards the slice has and how much of each. Read in place: a limit that the
 * agent changes holds from the next charge on. */
#ifndef HC_LIMITS_H
#define HC_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "hc_abi.h"

/* The 16 bytes that the driver calls a card's UUID. */
struct hc_uuid {
    uint8_t bytes[16];
};

/* Maps and checks the page. 0; ENOENT: there is none; EINVAL: not a page of this major; another
 * number: it cannot be read. Precondition: called once, by one thread. */
int hc_limits_open(const char *path);

/* The card's place in the page, or -1: the slice does not have it. */
int hc_limits_card(const struct hc_uuid *uuid);
/* Reads the driver's text form, with or without its prefix. */
bool hc_uuid_parse(const char *text, struct hc_uuid *out);

/* Precondition of both: card is a place in the page. */
uint64_t hc_limits_limit(uint32_t card);
uint64_t hc_limits_context(uint32_t card);

#endif
