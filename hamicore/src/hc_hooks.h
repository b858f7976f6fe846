/* What the hooks share: where a call lands, and the frame around it. Hooks reserve, call the real
 * function, then commit or roll back; all sums are kept by the account layer. */
#ifndef HC_HOOKS_H
#define HC_HOOKS_H

#include "hc_account.h"
#include "hc_driver.h"

/* Card and context that the calling thread's next allocation belongs to. */
struct hc_where {
    int card; /* a place in the agent page, or HC_CARD_OUTSIDE */
    hc_device device;
    hc_ctx ctx;
};

/* The call is not ours to judge: no limits, or the driver itself calls. */
static inline bool hc_passes(void)
{
    return hc_inside != 0 || hc_account_mode() == HC_MODE_OFF;
}

/* The calling thread's current context; false: it has none, and the driver will say so. */
bool hc_where_now(struct hc_where *w);
/* Where a context lies that need not be current; false: we have not seen its creation. */
bool hc_where_of(hc_ctx ctx, struct hc_where *w);
/* Contexts end: forget what threads remember of their current one. */
void hc_where_changed(void);
/* The card of a CUDA device number. */
int hc_card_of(hc_device device);

/* Before the allocation; may trim the card's pool to make room. HC_CUDA_SUCCESS or OUT_OF_MEMORY.
 */
hc_result hc_reserve(const struct hc_where *w, uint64_t bytes);
/* The same for bytes that are charged as they are. */
hc_result hc_reserve_exact(int card, hc_device device, uint64_t bytes);
/* After it: keeps the charge under the address, or gives it back. r is the driver's answer. */
hc_result hc_commit(const struct hc_where *w, hc_result r, hc_devptr at, uint64_t bytes);

/* Gives back what a freed address held; true: it was known. undo puts it back. */
struct hc_entry;
bool hc_free_begin(hc_devptr at, struct hc_entry *e);
void hc_free_end(const struct hc_entry *e, bool known, hc_result r);

/* Returns to the driver what the card's pool keeps unused, and settles; true: something came back.
 */
bool hc_pool_trim(int card, hc_device device);
/* Settles the card's pool, if this process uses one. */
void hc_pool_refresh(const struct hc_where *w);

/* The driver, called from a hook: what it calls in turn passes through. */
#define HC_CALL(result, call)                                                                      \
    do {                                                                                           \
        hc_inside++;                                                                               \
        (result) = (call);                                                                         \
        hc_inside--;                                                                               \
    } while (0)

#endif
