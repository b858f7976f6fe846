/*
 * A process's view of the node: the mapped state, which cards it sees, and the operations on
 * process slots. Each library of a process opens its own view. A view is not closed while the
 * process has a slot: closing any descriptor of the file drops its POSIX locks, and the slot.
 */
#ifndef FG_NODE_H
#define FG_NODE_H

#include "layout.h"

struct fg_node {
    struct fg_state *state;
    int fd;
    uint32_t card_count;               /* visible ones */
    uint32_t card_index[FG_MAX_CARDS]; /* position in state->cards */
};

/* Returns 0 or an errno. Precondition: out is zeroed or was never opened. */
int fg_node_open(struct fg_node *out);
/* Drops every slot of the process. Only for those that have none to keep. */
void fg_node_close(struct fg_node *n);

const char *fg_state_path(void);

/* Claims a slot for the calling process. Precondition: the caller excludes other claims of its own
 * process. Returns 0 and the slot, or an errno. */
int fg_slot_claim(const struct fg_node *n, uint32_t *slot);

/* Empties the slots whose owner died. */
void fg_reap(const struct fg_node *n);

/* Pid of the slot's owner in the caller's pid namespace; 0 when dead or not visible. */
int fg_slot_owner(const struct fg_node *n, uint32_t slot);

uint64_t fg_card_used(const struct fg_node *n, uint32_t card);

/* Charges bytes of physical memory to the slot. Returns 0 or ENOMEM. */
int fg_charge(const struct fg_node *n, uint32_t card, uint32_t slot, uint64_t bytes);
void fg_uncharge(const struct fg_node *n, uint32_t card, uint32_t slot, uint64_t bytes);

/* Waits (blocking) for, and frees, one byte lock of the file, against all other processes. */
int fg_lock(const struct fg_node *n, long byte);
void fg_unlock(const struct fg_node *n, long byte);

/* Sleeps until state->event_count differs from seen, or until the deadline on CLOCK_MONOTONIC. */
struct timespec;
void fg_event_wait(const struct fg_node *n, uint32_t seen, const struct timespec *deadline);
void fg_event_wake(const struct fg_node *n);

#endif
