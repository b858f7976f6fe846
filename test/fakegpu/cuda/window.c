/* Owns the address windows: page ranges, the page table, and the records of blocks. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arena.h"

static struct fc_window windows[FC_WINDOWS];

static CUdeviceptr window_base(const struct fc_window *w)
{
    return FC_VA_BASE + ((uint64_t)(w - windows) << FC_WINDOW_SHIFT);
}

struct fc_window *fc_window(uint32_t index)
{
    return &windows[index];
}

struct fc_window *fc_window_of(CUdeviceptr p)
{
    uint64_t index = (p - FC_VA_BASE) >> FC_WINDOW_SHIFT;

    if (p < FC_VA_BASE || index >= FC_WINDOWS || windows[index].table == NULL)
        return NULL;
    return &windows[index];
}

int fc_window_open(uint32_t index, const struct fg_node *node, uint32_t slot)
{
    struct fc_window *w = &windows[index];
    void *table = mmap(NULL, FC_WINDOW_PAGES * sizeof(void *), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (table == MAP_FAILED)
        return errno;
    pthread_mutex_init(&w->mu, NULL);
    w->table = table;
    w->node = node;
    w->card = index;
    w->slot = slot;
    return 0;
}

static struct fc_range *range_take(struct fc_window *w, uint32_t pages)
{
    struct fc_range **at = &w->bins[pages < FC_BINS ? pages : 0];

    while (*at != NULL && (*at)->pages < pages)
        at = &(*at)->next;
    struct fc_range *r = *at;
    if (r != NULL)
        *at = r->next;
    return r;
}

/* First page of a run, or UINT32_MAX. Long runs are split; short ones are reused as they are. */
static uint32_t pages_take(struct fc_window *w, uint32_t pages)
{
    struct fc_range *r = range_take(w, pages);
    uint32_t first;

    if (r == NULL) {
        if (pages > FC_WINDOW_PAGES - w->next_page)
            return UINT32_MAX;
        first = w->next_page;
        w->next_page += pages;
        return first;
    }
    first = r->first;
    r->first += pages;
    r->pages -= pages;
    struct fc_range **home = r->pages == 0        ? &w->spare_ranges
                             : r->pages < FC_BINS ? &w->bins[r->pages]
                                                  : &w->bins[0];
    r->next = *home;
    *home = r;
    return first;
}

static void pages_give(struct fc_window *w, uint32_t first, uint32_t pages)
{
    struct fc_range *r = w->spare_ranges;
    struct fc_range **home = &w->bins[pages < FC_BINS ? pages : 0];

    if (r != NULL)
        w->spare_ranges = r->next;
    else
        r = malloc(sizeof(*r));
    if (r == NULL)
        return; /* the addresses are lost, and nothing else */
    *r = (struct fc_range){.first = first, .pages = pages, .next = *home};
    *home = r;
}

struct fc_block *fc_block_spare(struct fc_window *w)
{
    struct fc_block *b = w->spare_blocks;

    if (b == NULL)
        return calloc(1, sizeof(*b));
    w->spare_blocks = b->next;
    *b = (struct fc_block){0};
    return b;
}

void fc_block_park(struct fc_window *w, struct fc_block *b)
{
    b->next = w->spare_blocks;
    w->spare_blocks = b;
}

struct fc_block *fc_block_at(struct fc_window *w, CUdeviceptr p)
{
    return w->table[(p - window_base(w)) >> FC_PAGE_SHIFT];
}

void fc_table_set(struct fc_window *w, struct fc_block *b, struct fc_block *value)
{
    uint64_t first = (b->base - window_base(w)) >> FC_PAGE_SHIFT;

    for (uint32_t i = 0; i < b->pages; i++)
        w->table[first + i] = value;
}

bool fc_block_place(struct fc_window *w, struct fc_block *b)
{
    uint32_t first = pages_take(w, b->pages);

    if (first == UINT32_MAX)
        return false;
    b->base = window_base(w) + ((uint64_t)first << FC_PAGE_SHIFT);
    fc_table_set(w, b, b);
    return true;
}

struct fc_block *fc_block_new(struct fc_window *w, enum fc_kind kind, uint32_t pages)
{
    struct fc_block *b = fc_block_spare(w);

    if (b == NULL)
        return NULL;
    b->kind = (uint16_t)kind;
    b->pages = pages;
    b->size = (uint64_t)pages << FC_PAGE_SHIFT;
    if (fc_block_place(w, b))
        return b;
    fc_block_park(w, b);
    return NULL;
}

void fc_block_unplace(struct fc_window *w, struct fc_block *b)
{
    fc_table_set(w, b, NULL);
    pages_give(w, (uint32_t)((b->base - window_base(w)) >> FC_PAGE_SHIFT), b->pages);
}
