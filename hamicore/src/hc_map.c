/* Owns the table of live allocations; see the header. */
#include "hc_map.h"

#include <string.h>

#include "hc_abi.h"
#include "hc_sys.h"

#define SHARDS 64
#define FIRST_CAPACITY 128 /* entries of a new shard: 3 KiB */
#define UNIT_SHIFT 9

/* 24 bytes. meta: units of 512 bytes << 16 | card << 8 | kind; 0: the place is empty. */
struct place {
    uint64_t key, meta, ref;
};

struct shard {
    struct hc_lock lock;
    uint32_t live;     /* guarded by lock, like all below */
    uint32_t capacity; /* 0 or a power of two */
    struct place *places;
} __attribute__((aligned(HC_CACHE_LINE)));

static struct shard shards[SHARDS];

static uint64_t pack(const struct hc_entry *e)
{
    return e->size >> UNIT_SHIFT << 16 | (uint64_t)e->card << 8 | e->kind;
}

static void unpack(const struct place *p, struct hc_entry *e)
{
    *e = (struct hc_entry){.key = p->key,
                           .size = p->meta >> 16 << UNIT_SHIFT,
                           .ref = p->ref,
                           .card = (uint32_t)(p->meta >> 8 & 0xff),
                           .kind = (uint32_t)(p->meta & 0xff)};
}

static uint64_t hash(uint64_t key)
{
    key *= UINT64_C(0x9e3779b97f4a7c15);
    return key ^ key >> 29;
}

static struct shard *shard_of(uint64_t h)
{
    return &shards[h >> 58];
}

static uint32_t home(const struct shard *s, uint64_t h)
{
    return (uint32_t)(h >> 8) & (s->capacity - 1);
}

/* The entry's place, or the empty one where it would go. Precondition: capacity is not 0, and one
 * place is empty. */
static struct place *probe(const struct shard *s, uint32_t kind, uint64_t key, uint64_t h)
{
    for (uint32_t i = home(s, h);; i = (i + 1) & (s->capacity - 1)) {
        struct place *p = &s->places[i];

        if (p->meta == 0 || (p->key == key && (p->meta & 0xff) == kind))
            return p;
    }
}

static bool grow(struct shard *s)
{
    struct shard bigger = {.capacity = s->capacity == 0 ? FIRST_CAPACITY : s->capacity * 2};
    void *at;

    if (hc_sys_map_memory(bigger.capacity * sizeof(struct place), &at) != 0)
        return false;
    bigger.places = at;
    for (uint32_t i = 0; i < s->capacity; i++) {
        const struct place *p = &s->places[i];

        if (p->meta != 0)
            *probe(&bigger, (uint32_t)(p->meta & 0xff), p->key, hash(p->key)) = *p;
    }
    if (s->places != NULL)
        hc_sys_unmap(s->places, s->capacity * sizeof(struct place));
    s->capacity = bigger.capacity;
    s->places = bigger.places;
    return true;
}

/* Closes the gap by moving later entries of the run back: no tombstones, so that look-ups stay
 * short after any number of frees. */
static void remove_place(struct shard *s, struct place *p)
{
    uint32_t mask = s->capacity - 1, gap = (uint32_t)(p - s->places), i = gap;

    for (;;) {
        i = (i + 1) & mask;
        struct place *next = &s->places[i];
        if (next->meta == 0)
            break;
        uint32_t from_home = (i - home(s, hash(next->key))) & mask;
        if (from_home >= ((i - gap) & mask)) {
            s->places[gap] = *next;
            gap = i;
        }
    }
    s->places[gap] = (struct place){0};
    s->live--;
}

bool hc_map_put(const struct hc_entry *e)
{
    uint64_t h = hash(e->key);
    struct shard *s = shard_of(h);
    bool ok = true;

    hc_lock(&s->lock);
    if ((s->live + 1) * 3 > s->capacity * 2)
        ok = grow(s);
    if (ok) {
        struct place *p = probe(s, e->kind, e->key, h);

        s->live += p->meta == 0;
        *p = (struct place){.key = e->key, .meta = pack(e), .ref = e->ref};
    }
    hc_unlock(&s->lock);
    return ok;
}

/* Precondition: s's lock is held. */
static struct place *existing(struct shard *s, uint32_t kind, uint64_t key, uint64_t h)
{
    struct place *p = s->capacity == 0 ? NULL : probe(s, kind, key, h);

    return p == NULL || p->meta == 0 ? NULL : p;
}

static bool get(enum hc_entry_kind kind, uint64_t key, struct hc_entry *out, bool take)
{
    uint64_t h = hash(key);
    struct shard *s = shard_of(h);
    struct place *p;

    hc_lock(&s->lock);
    p = existing(s, kind, key, h);
    if (p != NULL) {
        unpack(p, out);
        if (take)
            remove_place(s, p);
    }
    hc_unlock(&s->lock);
    return p != NULL;
}

bool hc_map_find(enum hc_entry_kind kind, uint64_t key, struct hc_entry *out)
{
    return get(kind, key, out, false);
}

bool hc_map_take(enum hc_entry_kind kind, uint64_t key, struct hc_entry *out)
{
    return get(kind, key, out, true);
}

bool hc_map_add_ref(enum hc_entry_kind kind, uint64_t key, int64_t by, struct hc_entry *out)
{
    uint64_t h = hash(key);
    struct shard *s = shard_of(h);
    struct place *p;

    hc_lock(&s->lock);
    p = existing(s, kind, key, h);
    if (p != NULL) {
        p->ref += (uint64_t)by;
        unpack(p, out);
        if (p->ref == 0)
            remove_place(s, p);
    }
    hc_unlock(&s->lock);
    return p != NULL;
}

void hc_map_drop(enum hc_entry_kind kind, uint64_t ref, hc_entry_fn *fn)
{
    for (uint32_t n = 0; n < SHARDS; n++) {
        struct shard *s = &shards[n];

        hc_lock(&s->lock);
        for (uint32_t i = 0; i < s->capacity;) {
            struct place *p = &s->places[i];

            if (p->meta == 0 || (p->meta & 0xff) != kind || p->ref != ref) {
                i++;
                continue;
            }
            struct hc_entry e;
            unpack(p, &e);
            remove_place(s, p); /* may bring another entry here: look again */
            fn(&e);
        }
        hc_unlock(&s->lock);
    }
}

void hc_map_reset(void)
{
    for (uint32_t n = 0; n < SHARDS; n++) {
        struct shard *s = &shards[n];

        if (s->places != NULL)
            hc_sys_unmap(s->places, s->capacity * sizeof(struct place));
        *s = (struct shard){0};
    }
}
