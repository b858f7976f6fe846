/*
 * State of the driver in one process: devices, contexts, pools. Filled by cuInit, never torn down.
 * Lock order: driver->mu (contexts, streams), then the VMM lock, then a window's mu.
 */
#ifndef FC_DRIVER_H
#define FC_DRIVER_H

#include "../state/atomics.h"
#include "api.h"
#include "arena.h"

#define FC_MAX_CONTEXTS 1024

struct fc_pool {
    struct fc_arena arena; /* guarded by the device's window */
};

struct fc_context {
    struct fc_device *device;
    unsigned flags;
    uint16_t id;
    bool primary;
    _Atomic uint32_t alive;
};

struct fc_device {
    struct fg_card *card;
    uint32_t card_index;
    CUdevice ordinal; /* -1: not visible */
    struct fc_window *window;
    struct fc_arena device_memory, managed_memory;
    struct fc_pool default_pool;
    struct fc_context *primary; /* guarded by driver->mu, like the rest */
    unsigned primary_refs, primary_flags;
    uint32_t contexts;
};

struct fc_driver {
    pthread_mutex_t mu;
    struct fg_node node;
    uint32_t slot;
    uint32_t device_count; /* visible ones */
    struct fc_device *visible[FG_MAX_CARDS];
    struct fc_device devices[FG_MAX_CARDS];      /* by card index */
    struct fc_context contexts[FC_MAX_CONTEXTS]; /* guarded by mu; id is index + 1 */
    _Atomic uint64_t reaped_at;                  /* coarse clock, ns */
    /* 1 between cuInit and fork: it stands on a page that the kernel wipes in a forked child. */
    _Atomic uint32_t *alive;
};

extern struct fc_driver fc_driver;

static inline bool fc_is_ready(void)
{
    /* acquire: pairs with the release at the end of cuInit. */
    return fg_load32_acquire(fc_driver.alive) != 0;
}

/* What a broken card answers to every call that needs it. */
static inline CUresult fc_fault(const struct fc_device *d)
{
    /* Relaxed: a fault is seen soon, and orders nothing else. */
    switch (fg_load32_relaxed(&d->card->fault)) {
    case FG_FAULT_LOST:
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    case FG_FAULT_ECC:
        return CUDA_ERROR_ECC_UNCORRECTABLE;
    default:
        return CUDA_SUCCESS;
    }
}

/* Initialised, and the ordinal is one of ours. */
CUresult fc_device_of(CUdevice ordinal, struct fc_device **out);
/* Initialised, and the calling thread has a live context on a sound card. */
CUresult fc_current(struct fc_context **out);
/* Releases what pools keep above their threshold: what a synchronisation does. */
void fc_trim_pools(struct fc_device *d);
bool fc_stream_is_valid(CUstream stream);
/* The card that the memory behind an address is on. */
uint32_t fc_hit_card(const struct fc_hit *hit);
/* Removes the dead processes' memory, at most every 10 ms: real hardware needs some time too. */
void fc_reap_if_due(void);

#endif
