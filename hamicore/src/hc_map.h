/*
 * What the driver has handed out, by its address or handle: sharded open addressing, so that a
 * look-up costs the same at 10 and at 100,000 live entries. An entry that is not here was made in a
 * way that we do not charge; the caller forwards it.
 *
 * A shard's lock is the innermost lock of the library and is held for one table operation.
 */
#ifndef HC_MAP_H
#define HC_MAP_H

#include <stdbool.h>
#include <stdint.h>

enum hc_entry_kind {
    HC_ENTRY_LINEAR = 1, /* key: address; ref: its context */
    HC_ENTRY_POOLED,     /* key: address of stream-ordered memory where pools tell no size */
    HC_ENTRY_PHYSICAL,   /* key: handle of cuMemCreate; ref: open handles plus maps */
    HC_ENTRY_MAPPING,    /* key: address of cuMemMap; ref: the handle */
    HC_ENTRY_CONTEXT,    /* key: a context of cuCtxCreate; ref: its device */
};

struct hc_entry {
    uint64_t key;
    uint64_t size; /* bytes, a multiple of 512 */
    uint64_t ref;
    uint32_t card;
    uint32_t kind;
};

/* False if there is no memory for the entry. An entry of that kind and key is replaced. */
bool hc_map_put(const struct hc_entry *e);
bool hc_map_find(enum hc_entry_kind kind, uint64_t key, struct hc_entry *out);
bool hc_map_take(enum hc_entry_kind kind, uint64_t key, struct hc_entry *out);

/* Adds to ref; an entry whose ref becomes 0 is removed. False if there is none. out: as it was
 * left. */
bool hc_map_add_ref(enum hc_entry_kind kind, uint64_t key, int64_t by, struct hc_entry *out);

/* Removes all entries of that kind and ref and shows each to fn, which must not use the map. */
typedef void hc_entry_fn(const struct hc_entry *e);
void hc_map_drop(enum hc_entry_kind kind, uint64_t ref, hc_entry_fn *fn);

/* In a forked child: nothing is ours. */
void hc_map_reset(void);

#endif
