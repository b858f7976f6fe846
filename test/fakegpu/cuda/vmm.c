/*
 * Owns the virtual memory calls: physical allocations, address ranges, and mappings between them.
 * A physical allocation lives until its last handle is released and its last mapping undone.
 * All of it is guarded by the mu of the window that holds the ranges.
 */
#include <stdlib.h>

#include "driver.h"

struct fc_physical {
    uint32_t card;
    uint32_t handles, maps;
    uint64_t bytes;
    CUmemAllocationProp prop;
    struct fc_physical *next; /* in the list of live ones */
};

static struct fc_physical *live;

static struct fc_window *ranges(void)
{
    return fc_window(FG_MAX_CARDS);
}

uint32_t fc_hit_card(const struct fc_hit *hit)
{
    return hit->block->kind == FC_MAPPED ? hit->block->physical->card
                                         : hit->block->arena->window->card;
}

/* Handles come from the application, so they are looked up, never trusted. */
static struct fc_physical *find(CUmemGenericAllocationHandle handle)
{
    struct fc_physical *p = (struct fc_physical *)(uintptr_t)handle;

    for (struct fc_physical *at = live; at != NULL; at = at->next) {
        if (at == p)
            return p->handles > 0 ? p : NULL;
    }
    return NULL;
}

static void drop_if_unused(struct fc_physical *p)
{
    struct fc_physical **at = &live;

    if (p->handles > 0 || p->maps > 0)
        return;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    fg_uncharge(&fc_driver.node, p->card, fc_driver.slot, p->bytes);
    free(p);
}

static CUresult prop_device(const CUmemAllocationProp *prop, struct fc_device **d)
{
    if (prop == NULL || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    if (prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE || prop->requestedHandleTypes != 0)
        return CUDA_ERROR_NOT_SUPPORTED;
    return fc_device_of(prop->location.id, d);
}

CUresult cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
                                       int option)
{
    struct fc_device *d;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (granularity == NULL || option < 0 || option > 1)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = prop_device(prop, &d);
    if (r == CUDA_SUCCESS)
        *granularity = FG_GRANULARITY;
    return r;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                     const CUmemAllocationProp *prop, unsigned long long flags)
{
    struct fc_device *d;
    struct fc_physical *p;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (handle == NULL || flags != 0 || size == 0 || size % FG_GRANULARITY != 0)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = prop_device(prop, &d);
    if (r == CUDA_SUCCESS)
        r = fc_fault(d);
    if (r != CUDA_SUCCESS)
        return r;
    p = calloc(1, sizeof(*p));
    if (p == NULL || fg_charge(&fc_driver.node, d->card_index, fc_driver.slot, size) != 0) {
        free(p);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *p = (struct fc_physical){.card = d->card_index, .handles = 1, .bytes = size, .prop = *prop};
    pthread_mutex_lock(&ranges()->mu);
    p->next = live;
    live = p;
    pthread_mutex_unlock(&ranges()->mu);
    *handle = (uintptr_t)p;
    return CUDA_SUCCESS;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    pthread_mutex_lock(&ranges()->mu);
    struct fc_physical *p = find(handle);
    if (p != NULL) {
        p->handles--;
        drop_if_unused(p);
    }
    pthread_mutex_unlock(&ranges()->mu);
    return p != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
                                                CUmemGenericAllocationHandle handle)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (prop == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&ranges()->mu);
    struct fc_physical *p = find(handle);
    if (p != NULL)
        *prop = p->prop;
    pthread_mutex_unlock(&ranges()->mu);
    return p != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAddressReserve(CUdeviceptr *p, size_t size, size_t alignment, CUdeviceptr hint,
                             unsigned long long flags)
{
    (void)hint; /* a wish: another range may be given */
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (p == NULL || flags != 0 || size == 0 || size % FG_GRANULARITY != 0 ||
        (alignment & (alignment - 1)) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (alignment > FG_GRANULARITY)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (size >> FC_PAGE_SHIFT >= FC_WINDOW_PAGES)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pthread_mutex_lock(&ranges()->mu);
    struct fc_block *b = fc_block_new(ranges(), FC_RESERVED, (uint32_t)(size >> FC_PAGE_SHIFT));
    if (b != NULL)
        *p = b->base;
    pthread_mutex_unlock(&ranges()->mu);
    return b != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* True when every page of the range belongs to blocks of the kind. Precondition: ranges' mu. */
static bool all_pages_are(CUdeviceptr p, size_t size, enum fc_kind kind)
{
    if (size == 0 || p % FG_GRANULARITY != 0 || size % FG_GRANULARITY != 0 ||
        fc_window_of(p) != ranges() || fc_window_of(p + size - 1) != ranges())
        return false;
    for (uint64_t at = 0; at < size; at += FG_GRANULARITY) {
        struct fc_block *b = fc_block_at(ranges(), p + at);
        if (b == NULL || b->kind != kind)
            return false;
    }
    return true;
}

CUresult cuMemAddressFree(CUdeviceptr p, size_t size)
{
    CUresult r = CUDA_ERROR_INVALID_VALUE;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    pthread_mutex_lock(&ranges()->mu);
    if (all_pages_are(p, size, FC_RESERVED)) {
        struct fc_block *b = fc_block_at(ranges(), p);
        if (b->base == p && b->size == size) {
            fc_block_unplace(ranges(), b);
            fc_block_park(ranges(), b);
            r = CUDA_SUCCESS;
        }
    }
    pthread_mutex_unlock(&ranges()->mu);
    return r;
}

/* A mapping covers its pages of the range's table; "next" leads back to the range beneath. */
static CUresult map_locked(CUdeviceptr at, size_t size, struct fc_physical *p)
{
    if (p == NULL || size != p->bytes || !all_pages_are(at, size, FC_RESERVED))
        return CUDA_ERROR_INVALID_VALUE;
    struct fc_block *range = fc_block_at(ranges(), at);
    struct fc_block *m = fc_block_spare(ranges());
    if (m == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (at + size > range->base + range->size) {
        fc_block_park(ranges(), m);
        return CUDA_ERROR_INVALID_VALUE;
    }
    m->kind = FC_MAPPED;
    m->base = at;
    m->size = size;
    m->pages = (uint32_t)(size >> FC_PAGE_SHIFT);
    m->physical = p;
    m->next = range;
    p->maps++;
    fc_table_set(ranges(), m, m);
    return CUDA_SUCCESS;
}

CUresult cuMemMap(CUdeviceptr at, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (offset != 0 || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&ranges()->mu);
    CUresult r = map_locked(at, size, find(handle));
    pthread_mutex_unlock(&ranges()->mu);
    return r;
}

static void unmap_one(struct fc_block *m)
{
    struct fc_physical *p = m->physical;

    fc_table_set(ranges(), m, m->next);
    fc_shadow_drop(m);
    fc_block_park(ranges(), m);
    p->maps--;
    drop_if_unused(p);
}

/* Only whole mappings can be undone, but several at once. */
static CUresult unmap_locked(CUdeviceptr p, size_t size)
{
    if (!all_pages_are(p, size, FC_MAPPED))
        return CUDA_ERROR_INVALID_VALUE;
    struct fc_block *first = fc_block_at(ranges(), p);
    struct fc_block *last = fc_block_at(ranges(), p + size - 1);
    if (first->base != p || last->base + last->size != p + size)
        return CUDA_ERROR_INVALID_VALUE;
    while (size > 0) {
        struct fc_block *m = fc_block_at(ranges(), p);
        p += m->size;
        size -= m->size;
        unmap_one(m);
    }
    return CUDA_SUCCESS;
}

CUresult cuMemUnmap(CUdeviceptr p, size_t size)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    pthread_mutex_lock(&ranges()->mu);
    CUresult r = unmap_locked(p, size);
    pthread_mutex_unlock(&ranges()->mu);
    return r;
}

CUresult cuMemSetAccess(CUdeviceptr p, size_t size, const CUmemAccessDesc *desc, size_t count)
{
    struct fc_device *d;
    CUresult r = CUDA_SUCCESS;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (desc == NULL || count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count && r == CUDA_SUCCESS; i++) {
        if (desc[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE)
            return CUDA_ERROR_NOT_SUPPORTED;
        r = fc_device_of(desc[i].location.id, &d);
    }
    if (r != CUDA_SUCCESS)
        return r;
    pthread_mutex_lock(&ranges()->mu);
    if (!all_pages_are(p, size, FC_MAPPED))
        r = CUDA_ERROR_INVALID_VALUE;
    for (uint64_t at = 0; r == CUDA_SUCCESS && at < size; at += FG_GRANULARITY) {
        struct fc_block *b = fc_block_at(ranges(), p + at);
        for (size_t i = 0; i < count; i++)
            b->access[fc_driver.visible[desc[i].location.id]->card_index] = (uint8_t)desc[i].flags;
    }
    pthread_mutex_unlock(&ranges()->mu);
    return r;
}

CUresult cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location, CUdeviceptr p)
{
    struct fc_device *d;
    struct fc_hit hit;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (flags == NULL || location == NULL || location->type != CU_MEM_LOCATION_TYPE_DEVICE ||
        fc_window_of(p) != ranges())
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = fc_device_of(location->id, &d);
    if (r != CUDA_SUCCESS)
        return r;
    pthread_mutex_lock(&ranges()->mu);
    if (fc_find(ranges(), p, &hit))
        *flags = hit.block->access[d->card_index];
    else
        r = CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_unlock(&ranges()->mu);
    return r;
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
    CUdeviceptr p = (uintptr_t)addr;
    struct fc_hit hit;
    CUresult r = CUDA_ERROR_INVALID_VALUE;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (handle == NULL || fc_window_of(p) != ranges())
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&ranges()->mu);
    if (fc_find(ranges(), p, &hit)) {
        hit.block->physical->handles++;
        *handle = (uintptr_t)hit.block->physical;
        r = CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&ranges()->mu);
    return r;
}
