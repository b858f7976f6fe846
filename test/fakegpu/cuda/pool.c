/* Owns stream-ordered allocation and the default pools. Streams carry no work yet, so an operation
 * is complete when its call returns, and a synchronisation only releases what pools keep. */
#include <stdlib.h>

#include "driver.h"

#define STREAM_MAGIC 0x7354726du
/* The two built-in streams have these handles, besides NULL. */
#define STREAM_LEGACY ((CUstream)1)
#define STREAM_PER_THREAD ((CUstream)2)

struct fc_stream {
    uint32_t magic;
    struct fc_context *context;
};

static bool is_built_in(CUstream s)
{
    return s == NULL || s == STREAM_LEGACY || s == STREAM_PER_THREAD;
}

bool fc_stream_is_valid(CUstream s)
{
    return is_built_in(s) || s->magic == STREAM_MAGIC;
}

static struct fc_device *stream_device(CUstream s, struct fc_context *current)
{
    return is_built_in(s) ? current->device : s->context->device;
}

CUresult cuStreamGetCtx(CUstream s, CUcontext *ctx)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);

    if (r != CUDA_SUCCESS)
        return r;
    if (ctx == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (!fc_stream_is_valid(s))
        return CUDA_ERROR_INVALID_HANDLE;
    *ctx = is_built_in(s) ? c : s->context;
    return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx_ptsz(CUstream s, CUcontext *ctx)
{
    return cuStreamGetCtx(s, ctx);
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);
    CUstream s;

    if (r != CUDA_SUCCESS)
        return r;
    if (stream == NULL || flags > 1)
        return CUDA_ERROR_INVALID_VALUE;
    s = malloc(sizeof(*s));
    if (s == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *s = (struct fc_stream){.magic = STREAM_MAGIC, .context = c};
    *stream = s;
    return CUDA_SUCCESS;
}

CUresult cuStreamDestroy_v2(CUstream s)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (is_built_in(s) || s->magic != STREAM_MAGIC)
        return CUDA_ERROR_INVALID_HANDLE;
    s->magic = 0;
    free(s);
    return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream s)
{
    return cuStreamDestroy_v2(s);
}

CUresult cuStreamSynchronize(CUstream s)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);

    if (r != CUDA_SUCCESS)
        return r;
    if (!fc_stream_is_valid(s))
        return CUDA_ERROR_INVALID_HANDLE;
    fc_trim_pools(stream_device(s, c));
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize_ptsz(CUstream s)
{
    return cuStreamSynchronize(s);
}

void fc_trim_pools(struct fc_device *d)
{
    struct fc_arena *a = &d->default_pool.arena;

    pthread_mutex_lock(&d->window->mu);
    fc_arena_trim(a, a->threshold);
    pthread_mutex_unlock(&d->window->mu);
}

CUresult cuMemAllocAsync(CUdeviceptr *p, size_t bytes, CUstream s)
{
    struct fc_context *c;
    struct fc_device *d;
    CUresult r = fc_current(&c);

    if (r != CUDA_SUCCESS)
        return r;
    if (p == NULL || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!fc_stream_is_valid(s))
        return CUDA_ERROR_INVALID_HANDLE;
    d = stream_device(s, c);
    pthread_mutex_lock(&d->window->mu);
    /* No context: a pool's memory outlives the context that asked for it. */
    r = fc_arena_alloc(&d->default_pool.arena, bytes, 0, p);
    pthread_mutex_unlock(&d->window->mu);
    return r;
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr *p, size_t bytes, CUstream s)
{
    return cuMemAllocAsync(p, bytes, s);
}

CUresult cuMemFreeAsync(CUdeviceptr p, CUstream s)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);

    if (r != CUDA_SUCCESS)
        return r;
    if (!fc_stream_is_valid(s))
        return CUDA_ERROR_INVALID_HANDLE;
    return cuMemFree_v2(p);
}

CUresult cuMemFreeAsync_ptsz(CUdeviceptr p, CUstream s)
{
    return cuMemFreeAsync(p, s);
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (pool == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *pool = &d->default_pool;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice device)
{
    return cuDeviceGetDefaultMemPool(pool, device);
}

static CUresult pool_check(CUmemoryPool pool)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    for (uint32_t i = 0; i < fc_driver.device_count; i++) {
        if (pool == &fc_driver.visible[i]->default_pool)
            return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep)
{
    CUresult r = pool_check(pool);

    if (r != CUDA_SUCCESS)
        return r;
    pthread_mutex_lock(&pool->arena.window->mu);
    fc_arena_trim(&pool->arena, keep);
    pthread_mutex_unlock(&pool->arena.window->mu);
    return CUDA_SUCCESS;
}

/* The counter behind an attribute, or NULL. */
static uint64_t *counter(struct fc_arena *a, int attribute)
{
    switch (attribute) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        return &a->threshold;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
        return &a->reserved;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
        return &a->reserved_high;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        return &a->used;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        return &a->used_high;
    default:
        return NULL;
    }
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, int attribute, void *value)
{
    CUresult r = pool_check(pool);

    if (r != CUDA_SUCCESS)
        return r;
    if (value == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (attribute >= CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES &&
        attribute <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES) {
        *(int *)value = 1; /* freed memory is reused at once */
        return CUDA_SUCCESS;
    }
    pthread_mutex_lock(&pool->arena.window->mu);
    uint64_t *at = counter(&pool->arena, attribute);
    if (at != NULL)
        *(uint64_t *)value = *at;
    pthread_mutex_unlock(&pool->arena.window->mu);
    return at != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* Precondition: the window's mu is held. */
static CUresult set_locked(struct fc_arena *a, int attribute, uint64_t value)
{
    switch (attribute) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        a->threshold = value;
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH: /* the marks can only be reset */
        a->reserved_high = value == 0 ? a->reserved : a->reserved_high;
        return value == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        a->used_high = value == 0 ? a->used : a->used_high;
        return value == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, int attribute, void *value)
{
    CUresult r = pool_check(pool);

    if (r != CUDA_SUCCESS)
        return r;
    if (value == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&pool->arena.window->mu);
    r = set_locked(&pool->arena, attribute, *(uint64_t *)value);
    pthread_mutex_unlock(&pool->arena.window->mu);
    return r;
}
