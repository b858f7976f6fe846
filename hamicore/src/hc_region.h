/*
 * The tenant region: who holds how much. Knows slots and bytes; knows no limits file and no CUDA.
 *
 * Lock order: claim lock, then reap lock, then file locks (byte 0, then slots). All only on cold
 * paths; charging takes none.
 */
#ifndef HC_REGION_H
#define HC_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "hc_abi.h"

/* Fills in the header. Precondition: HC_REGION_SIZE zero bytes. */
void hc_region_format(struct hc_region *r);
bool hc_region_is_valid(const struct hc_region *r);

/* Attaches to the file. Where that is impossible: a region of this process alone, and the reason is
 * returned; the limit then holds per process. Precondition: once, and path is shorter than 256. */
int hc_region_open(const char *path);

/* Adds to a card unless it would exceed the limit. 0; ENOMEM: it would; ENOSPC: no slot is left. */
int hc_region_charge(uint32_t card, uint64_t bytes, uint64_t limit);
/* Precondition: the bytes were charged by this process. */
void hc_region_uncharge(uint32_t card, uint64_t bytes);
uint64_t hc_region_used(uint32_t card);

/* Takes back what dead processes held; the number of them. */
uint32_t hc_region_reap(void);
/* The same, at most every 100 ms. */
void hc_region_reap_if_due(void);

enum hc_alarm { HC_ALARM_UNKNOWN_SYMBOL, HC_ALARM_FOREIGN_DRIVER };
void hc_region_alarm(enum hc_alarm alarm);

/* In a forked child, before anything else: the parent's slot and lock are not ours. */
void hc_region_after_fork(void);

#endif
