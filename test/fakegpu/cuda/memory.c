/* Owns the classic memory calls: allocate, free, ask. */
#include "driver.h"

/* Rows of a pitched allocation start at multiples of this. */
#define PITCH 512u

static CUresult allocate(struct fc_context *c, struct fc_arena *a, uint64_t size, CUdeviceptr *p)
{
    if (p == NULL || size == 0)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&a->window->mu);
    CUresult r = fc_arena_alloc(a, size, c->id, p);
    pthread_mutex_unlock(&a->window->mu);
    return r;
}

CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t bytes)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);

    return r != CUDA_SUCCESS ? r : allocate(c, &c->device->device_memory, bytes, p);
}

CUresult cuMemAllocManaged(CUdeviceptr *p, size_t bytes, unsigned flags)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);

    if (r != CUDA_SUCCESS)
        return r;
    if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)
        return CUDA_ERROR_INVALID_VALUE;
    return allocate(c, &c->device->managed_memory, bytes, p);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *p, size_t *pitch, size_t width, size_t height,
                            unsigned element)
{
    struct fc_context *c;
    size_t row, bytes;
    CUresult r = fc_current(&c);

    if (r != CUDA_SUCCESS)
        return r;
    if (pitch == NULL || width == 0 || height == 0 ||
        (element != 4 && element != 8 && element != 16))
        return CUDA_ERROR_INVALID_VALUE;
    if (__builtin_add_overflow(width, PITCH - 1, &row))
        return CUDA_ERROR_OUT_OF_MEMORY;
    row -= row % PITCH;
    if (__builtin_mul_overflow(row, height, &bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = allocate(c, &c->device->device_memory, bytes, p);
    if (r == CUDA_SUCCESS)
        *pitch = row;
    return r;
}

CUresult cuMemFree_v2(CUdeviceptr p)
{
    struct fc_hit hit;
    struct fc_window *w;
    CUresult r = CUDA_ERROR_INVALID_VALUE;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    w = fc_window_of(p);
    if (w == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&w->mu);
    if (fc_find(w, p, &hit) && hit.base == p && hit.block->kind != FC_MAPPED) {
        fc_hit_free(&hit);
        r = CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&w->mu);
    return r;
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);

    if (r != CUDA_SUCCESS)
        return r;
    if (free_bytes == NULL || total == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    fc_reap_if_due();
    uint64_t used = fg_card_used(&fc_driver.node, c->device->card_index);
    uint64_t size = c->device->card->memory_bytes;
    /* A charge about to be rolled back may show for a moment. */
    *free_bytes = used < size ? size - used : 0;
    *total = size;
    return CUDA_SUCCESS;
}

CUresult cuMemGetInfo(unsigned *free_bytes, unsigned *total)
{
    size_t f, t;
    CUresult r = cuMemGetInfo_v2(&f, &t);

    if (r != CUDA_SUCCESS)
        return r;
    if (free_bytes == NULL || total == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *free_bytes = f > UINT32_MAX ? UINT32_MAX : (unsigned)f;
    *total = t > UINT32_MAX ? UINT32_MAX : (unsigned)t;
    return CUDA_SUCCESS;
}

/* Addresses of this card do not fit the 32-bit generation's pointers. */
CUresult cuMemAlloc(unsigned *p, unsigned bytes)
{
    (void)p;
    (void)bytes;
    return fc_is_ready() ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_NOT_INITIALIZED;
}

CUresult cuMemAllocPitch(unsigned *p, unsigned *pitch, unsigned width, unsigned height,
                         unsigned element)
{
    (void)pitch;
    (void)element;
    return cuMemAlloc(p, width * height);
}

CUresult cuMemFree(unsigned p)
{
    return cuMemFree_v2(p);
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr p)
{
    struct fc_hit hit;
    struct fc_window *w;
    bool found;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    w = fc_window_of(p);
    if (w == NULL)
        return CUDA_ERROR_NOT_FOUND;
    pthread_mutex_lock(&w->mu);
    found = fc_find(w, p, &hit);
    pthread_mutex_unlock(&w->mu);
    if (!found)
        return CUDA_ERROR_NOT_FOUND;
    if (base != NULL)
        *base = hit.base;
    if (size != NULL)
        *size = hit.size;
    return CUDA_SUCCESS;
}
