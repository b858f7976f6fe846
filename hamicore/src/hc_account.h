/*
 * What may be used, what is used: limits and region together, in the driver's granularity. No CUDA
 * header: cards are places in the agent page, contexts and pools are numbers.
 */
#ifndef HC_ACCOUNT_H
#define HC_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "hc_atomic.h"
#include "hc_limits.h"

enum hc_mode {
    HC_MODE_UNOPENED,
    HC_MODE_OFF,    /* no limits file: the agent did not put us here; everything is forwarded */
    HC_MODE_ON,     /* limits hold */
    HC_MODE_CLOSED, /* a limits file that we cannot read: the GPU is refused */
};

#define HC_CARD_OUTSIDE (-1) /* a card that the slice does not have: every charge is refused */

extern uint32_t hc_account_mode_word;
uint32_t hc_account_open(void);

static inline uint32_t hc_account_mode(void)
{
    /* acquire: pairs with the release in hc_account_open: who sees a mode sees the limits. */
    uint32_t mode = hc_load_acquire32(&hc_account_mode_word);

    return __builtin_expect(mode == HC_MODE_UNOPENED, 0) ? hc_account_open() : mode;
}

/* All charges: 0, ENOMEM (over the limit, dead processes reaped), or ENOSPC (no process slot). */

/* Bytes that the driver takes as they are: contexts, physical handles, pools. */
int hc_account_charge(int card, uint64_t bytes);
void hc_account_uncharge(int card, uint64_t bytes);

/* An allocation: above 1 MiB in whole 2 MiB pages, below in shares of 2 MiB slabs. give takes the
 * size that take got, or that rounded up to 512 bytes. */
int hc_account_take(int card, uint64_t bytes);
void hc_account_give(int card, uint64_t bytes);
/* What take reserves at most for that many bytes. */
uint64_t hc_account_rounded(uint64_t bytes);

/* The primary context of a card: charged once per process, whoever retains it. enter comes before
 * the driver's retain and leave after it, with the outcome; both only if enter returned 0. */
int hc_account_primary_enter(int card);
void hc_account_primary_leave(int card, bool retained);
/* ticket before asking the driver whether the context still exists, ended after it said no. True:
 * the charge is back; false: somebody has begun to retain it anew. */
uint64_t hc_account_primary_ticket(int card);
bool hc_account_primary_ended(int card, uint64_t ticket);

/* A card's pool, charged by what it has reserved. ticket before asking the driver for that number;
 * credit is what the caller charged beforehand. ENOMEM: the pool grew by more than credit and the
 * limit allow; nothing of the growth is charged and credit is given back. force: charge it anyway,
 * because the memory is there. */
uint64_t hc_account_pool_ticket(int card);
int hc_account_pool_settle(int card, uint64_t ticket, uint64_t reserved, uint64_t credit,
                           bool force);

/* Precondition of all: card is not outside. */
uint64_t hc_account_pool_charged(int card);
uint64_t hc_account_limit(int card);
uint64_t hc_account_used(int card);

#endif
