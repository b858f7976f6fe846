/* Owns allocation in an arena: slabs for up to 1 MiB, whole pages above, and a pool's kept pages.
 */
#include "arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define UNIT 512u
#define NO_OBJECT UINT16_MAX

static uint64_t bytes_of(uint32_t pages)
{
    return (uint64_t)pages << FC_PAGE_SHIFT;
}

/* Four classes for each doubling, so that less than a quarter of an object is lost to rounding. */
static uint32_t class_of(uint64_t size)
{
    uint32_t last = (uint32_t)((size - 1) / UNIT);

    if (last < 4)
        return last;
    uint32_t lg = 31 - (uint32_t)__builtin_clz(last);
    return 4 + (lg - 2) * 4 + ((last - (1u << lg)) >> (lg - 2));
}

static uint32_t class_bytes(uint32_t class_index)
{
    if (class_index < 4)
        return (class_index + 1) * UNIT;
    uint32_t lg = class_index / 4 + 1;
    return ((1u << lg) + ((class_index % 4 + 1) << (lg - 2))) * UNIT;
}

static void list_push(struct fc_block **head, struct fc_block *b)
{
    b->prev = NULL;
    b->next = *head;
    if (*head != NULL)
        (*head)->prev = b;
    *head = b;
}

static void list_remove(struct fc_block **head, struct fc_block *b)
{
    if (b->prev != NULL)
        b->prev->next = b->next;
    else
        *head = b->next;
    if (b->next != NULL)
        b->next->prev = b->prev;
}

static void grow(uint64_t *value, uint64_t *high, uint64_t by)
{
    *value += by;
    if (*value > *high)
        *high = *value;
}

/* Moves pages from the front of a kept block to b. */
static bool take_cached(struct fc_arena *a, struct fc_block *b)
{
    struct fc_block *c = a->cached;

    while (c != NULL && c->pages < b->pages)
        c = c->next;
    if (c == NULL)
        return false;
    b->base = c->base;
    fc_table_set(a->window, b, b);
    c->base += bytes_of(b->pages);
    c->pages -= b->pages;
    if (c->pages == 0) {
        list_remove(&a->cached, c);
        fc_block_park(a->window, c);
    }
    return true;
}

static bool host_map(const struct fc_block *b)
{
    void *want = (void *)(uintptr_t)b->base;
    void *got = mmap(want, bytes_of(b->pages), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (got != MAP_FAILED && got != want)
        munmap(got, bytes_of(b->pages));
    return got == want;
}

/* Physical pages and addresses for b. Precondition: b->pages is set. */
static bool pages_acquire(struct fc_arena *a, struct fc_block *b)
{
    struct fc_window *w = a->window;
    uint64_t bytes = bytes_of(b->pages);

    b->arena = a;
    if (a->keep && take_cached(a, b))
        return true;
    if (fg_charge(w->node, w->card, w->slot, bytes) != 0) {
        if (a->cached == NULL)
            return false;
        fc_arena_trim(a, 0);
        if (fg_charge(w->node, w->card, w->slot, bytes) != 0)
            return false;
    }
    if (!fc_block_place(w, b))
        goto uncharge;
    if (a->managed && !host_map(b)) {
        fc_block_unplace(w, b);
        goto uncharge;
    }
    grow(&a->reserved, &a->reserved_high, bytes);
    return true;
uncharge:
    fg_uncharge(w->node, w->card, w->slot, bytes);
    return false;
}

static void pages_drop(struct fc_arena *a, struct fc_block *b)
{
    struct fc_window *w = a->window;

    if (a->managed)
        munmap((void *)(uintptr_t)b->base, bytes_of(b->pages));
    fc_block_unplace(w, b);
    a->reserved -= bytes_of(b->pages);
    fg_uncharge(w->node, w->card, w->slot, bytes_of(b->pages));
}

void fc_shadow_drop(struct fc_block *b)
{
    if (b->shadow != NULL)
        munmap(b->shadow, bytes_of(b->pages));
    b->shadow = NULL;
}

static void pages_release(struct fc_arena *a, struct fc_block *b)
{
    struct fc_block *kept = a->keep ? fc_block_spare(a->window) : NULL;

    fc_shadow_drop(b);
    if (kept == NULL) {
        pages_drop(a, b);
        return;
    }
    kept->kind = FC_CACHED;
    kept->base = b->base;
    kept->pages = b->pages;
    kept->arena = a;
    fc_table_set(a->window, kept, kept);
    list_push(&a->cached, kept);
}

void fc_arena_trim(struct fc_arena *a, uint64_t keep_bytes)
{
    while (a->cached != NULL && a->reserved > keep_bytes) {
        struct fc_block *b = a->cached;

        list_remove(&a->cached, b);
        pages_drop(a, b);
        fc_block_park(a->window, b);
    }
}

static struct fc_slab *slab_new(struct fc_arena *a, uint32_t class_index)
{
    struct fc_window *w = a->window;
    struct fc_slab *s = (struct fc_slab *)w->spare_slabs[class_index];
    uint16_t capacity = (uint16_t)(FC_PAGE / class_bytes(class_index));

    if (s != NULL)
        w->spare_slabs[class_index] = s->block.next;
    else
        s = calloc(1, sizeof(*s) + capacity * sizeof(struct fc_object));
    if (s == NULL)
        return NULL;
    s->block = (struct fc_block){.kind = FC_SLAB, .pages = 1, .size = FC_PAGE};
    s->class_index = class_index;
    s->live = s->untouched = 0;
    s->free_head = NO_OBJECT;
    s->capacity = capacity;
    if (pages_acquire(a, &s->block)) {
        list_push(&a->partial[class_index], &s->block);
        return s;
    }
    s->block.next = w->spare_slabs[class_index];
    w->spare_slabs[class_index] = &s->block;
    return NULL;
}

static CUresult small_alloc(struct fc_arena *a, uint64_t size, uint16_t context, CUdeviceptr *out)
{
    uint32_t class_index = class_of(size);
    struct fc_slab *s = (struct fc_slab *)a->partial[class_index];
    uint16_t i;

    if (s == NULL && (s = slab_new(a, class_index)) == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (s->free_head != NO_OBJECT) {
        i = s->free_head;
        s->free_head = s->objects[i].next;
    } else {
        i = s->untouched++;
    }
    s->objects[i].size = (uint32_t)size;
    s->objects[i].context = context;
    if (++s->live == s->capacity)
        list_remove(&a->partial[class_index], &s->block);
    *out = s->block.base + (uint64_t)i * class_bytes(class_index);
    return CUDA_SUCCESS;
}

static CUresult big_alloc(struct fc_arena *a, uint64_t size, uint16_t context, CUdeviceptr *out)
{
    struct fc_block *b;

    if (size > bytes_of(FC_WINDOW_PAGES - 1) || (b = fc_block_spare(a->window)) == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    b->kind = FC_BIG;
    b->pages = (uint32_t)((size + FC_PAGE - 1) >> FC_PAGE_SHIFT);
    b->size = size;
    b->context = context;
    if (!pages_acquire(a, b)) {
        fc_block_park(a->window, b);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *out = b->base;
    return CUDA_SUCCESS;
}

CUresult fc_arena_alloc(struct fc_arena *a, uint64_t size, uint16_t context, CUdeviceptr *out)
{
    CUresult r = size <= FC_SMALL_MAX ? small_alloc(a, size, context, out)
                                      : big_alloc(a, size, context, out);

    if (r == CUDA_SUCCESS)
        grow(&a->used, &a->used_high, size);
    return r;
}

static bool find_in_slab(struct fc_slab *s, CUdeviceptr p, struct fc_hit *hit)
{
    uint32_t bytes = class_bytes(s->class_index);
    uint32_t i = (uint32_t)(p - s->block.base) / bytes;

    if (i >= s->capacity || s->objects[i].size == 0)
        return false;
    *hit = (struct fc_hit){.block = &s->block,
                           .base = s->block.base + (uint64_t)i * bytes,
                           .size = s->objects[i].size,
                           .context = s->objects[i].context};
    return p - hit->base < hit->size;
}

bool fc_find(struct fc_window *w, CUdeviceptr p, struct fc_hit *hit)
{
    struct fc_block *b = fc_block_at(w, p);

    if (b == NULL)
        return false;
    if (b->kind == FC_SLAB)
        return find_in_slab((struct fc_slab *)b, p, hit);
    if (b->kind != FC_BIG && b->kind != FC_MAPPED)
        return false;
    *hit = (struct fc_hit){.block = b, .base = b->base, .size = b->size, .context = b->context};
    return p - b->base < b->size;
}

static void slab_free(struct fc_slab *s, const struct fc_hit *hit)
{
    struct fc_arena *a = s->block.arena;
    struct fc_window *w = a->window;
    struct fc_block **partial = &a->partial[s->class_index];
    uint16_t i = (uint16_t)((hit->base - s->block.base) / class_bytes(s->class_index));

    s->objects[i] = (struct fc_object){.next = s->free_head};
    s->free_head = i;
    if (s->live-- == s->capacity)
        list_push(partial, &s->block);
    if (s->live > 0)
        return;
    list_remove(partial, &s->block);
    pages_release(a, &s->block);
    s->block.next = w->spare_slabs[s->class_index];
    w->spare_slabs[s->class_index] = &s->block;
}

/* Precondition: the hit is a slab's object or FC_BIG. */
void fc_hit_free(const struct fc_hit *hit)
{
    struct fc_block *b = hit->block;
    struct fc_arena *a = b->arena;

    a->used -= hit->size;
    if (b->kind == FC_SLAB) {
        slab_free((struct fc_slab *)b, hit);
        return;
    }
    pages_release(a, b);
    fc_block_park(a->window, b);
}

static void free_context_objects(struct fc_slab *s, uint16_t context)
{
    struct fc_hit hit = {.block = &s->block};

    for (uint32_t i = 0; s->live > 0 && i < s->untouched; i++) {
        if (s->objects[i].size == 0 || s->objects[i].context != context)
            continue;
        hit.base = s->block.base + (uint64_t)i * class_bytes(s->class_index);
        hit.size = s->objects[i].size;
        fc_hit_free(&hit);
    }
}

void fc_free_context(struct fc_window *w, uint16_t context)
{
    for (uint32_t i = 0; i < w->next_page; i++) {
        struct fc_block *b = w->table[i];

        if (b == NULL)
            continue;
        if (b->kind == FC_SLAB) {
            free_context_objects((struct fc_slab *)b, context);
        } else if (b->kind == FC_BIG && b->context == context) {
            struct fc_hit hit = {.block = b, .base = b->base, .size = b->size};
            fc_hit_free(&hit);
        }
    }
}

char *fc_shadow(const struct fc_hit *hit, CUdeviceptr p)
{
    struct fc_block *b = hit->block;
    uint64_t bytes = bytes_of(b->pages);

    if (b->arena != NULL && b->arena->managed)
        return (char *)(uintptr_t)p;
    if (bytes > FC_SHADOW_MAX)
        return NULL;
    if (b->shadow == NULL) {
        void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        b->shadow = m == MAP_FAILED ? NULL : m;
    }
    return b->shadow == NULL ? NULL : b->shadow + (p - b->base);
}
