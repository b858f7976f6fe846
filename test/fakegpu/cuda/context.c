/* Owns contexts: the thread's stack of current ones, and what a context costs on its card. */
#include "driver.h"

#define STACK_DEPTH 32

static __thread __attribute__((tls_model("initial-exec"))) struct {
    uint32_t depth;
    CUcontext stack[STACK_DEPTH];
} current;

static bool is_context(CUcontext c)
{
    return c >= fc_driver.contexts && c < fc_driver.contexts + FC_MAX_CONTEXTS && c->device != NULL;
}

static bool is_alive(CUcontext c)
{
    /* acquire: pairs with the release in context_new. */
    return is_context(c) && fg_load32_acquire(&c->alive) != 0;
}

CUresult fc_current(struct fc_context **out)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (current.depth == 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    *out = current.stack[current.depth - 1];
    if (fg_load32_acquire(&(*out)->alive) == 0)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return fc_fault((*out)->device);
}

/* Precondition: fc_driver.mu is held. */
static struct fc_context *record_find(void)
{
    static uint32_t next;

    /* In turn, so that the record of a destroyed context stays recognisable for long. */
    for (uint32_t i = 0; i < FC_MAX_CONTEXTS; i++) {
        struct fc_context *c = &fc_driver.contexts[next++ % FC_MAX_CONTEXTS];
        if (fg_load32_relaxed(&c->alive) == 0 && !c->primary)
            return c;
    }
    return NULL;
}

/* The first context of a process on a card costs its driver's context size. Precondition: mu. */
static CUresult device_enter(struct fc_device *d)
{
    struct fg_state *s = fc_driver.node.state;

    if (d->contexts == 0 &&
        fg_charge(&fc_driver.node, d->card_index, fc_driver.slot, s->context_bytes) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    d->contexts++;
    fg_store32_relaxed(&s->slots[fc_driver.slot].contexts[d->card_index], d->contexts);
    return CUDA_SUCCESS;
}

static void device_leave(struct fc_device *d)
{
    struct fg_state *s = fc_driver.node.state;

    d->contexts--;
    fg_store32_relaxed(&s->slots[fc_driver.slot].contexts[d->card_index], d->contexts);
    if (d->contexts == 0)
        fg_uncharge(&fc_driver.node, d->card_index, fc_driver.slot, s->context_bytes);
}

static CUresult context_start(struct fc_context *c, struct fc_device *d, unsigned flags)
{
    CUresult r = fc_fault(d);

    if (r == CUDA_SUCCESS)
        r = device_enter(d);
    if (r != CUDA_SUCCESS)
        return r;
    c->device = d;
    c->flags = flags;
    c->id = (uint16_t)(c - fc_driver.contexts + 1);
    /* release: publishes the record; pairs with the acquires in is_alive and fc_current. */
    fg_store32_release(&c->alive, 1);
    return CUDA_SUCCESS;
}

/* Frees what was allocated in the context. Precondition: mu. */
static void context_end(struct fc_context *c)
{
    fg_store32_release(&c->alive, 0);
    pthread_mutex_lock(&c->device->window->mu);
    fc_free_context(c->device->window, c->id);
    pthread_mutex_unlock(&c->device->window->mu);
    device_leave(c->device);
}

static CUresult create(CUcontext *out, unsigned flags, CUdevice device)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (out == NULL || current.depth == STACK_DEPTH)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&fc_driver.mu);
    struct fc_context *c = record_find();
    r = c == NULL ? CUDA_ERROR_OUT_OF_MEMORY : context_start(c, d, flags);
    pthread_mutex_unlock(&fc_driver.mu);
    if (r != CUDA_SUCCESS)
        return r;
    current.stack[current.depth++] = c;
    *out = c;
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate(CUcontext *ctx, unsigned flags, CUdevice device)
{
    return create(ctx, flags, device);
}

CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned flags, CUdevice device)
{
    return create(ctx, flags, device);
}

CUresult cuCtxCreate_v3(CUcontext *ctx, void *affinity, int count, unsigned flags, CUdevice device)
{
    if (affinity != NULL || count != 0)
        return CUDA_ERROR_NOT_SUPPORTED;
    return create(ctx, flags, device);
}

CUresult cuCtxCreate_v4(CUcontext *ctx, void *params, unsigned flags, CUdevice device)
{
    if (params != NULL)
        return CUDA_ERROR_NOT_SUPPORTED;
    return create(ctx, flags, device);
}

CUresult cuCtxDestroy_v2(CUcontext ctx)
{
    CUresult r = CUDA_ERROR_INVALID_CONTEXT;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    pthread_mutex_lock(&fc_driver.mu);
    if (is_alive(ctx) && !ctx->primary) {
        context_end(ctx);
        r = CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&fc_driver.mu);
    if (r == CUDA_SUCCESS && current.depth > 0 && current.stack[current.depth - 1] == ctx)
        current.depth--;
    return r;
}

CUresult cuCtxDestroy(CUcontext ctx)
{
    return cuCtxDestroy_v2(ctx);
}

CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!is_context(ctx))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (current.depth == STACK_DEPTH)
        return CUDA_ERROR_INVALID_VALUE;
    current.stack[current.depth++] = ctx;
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent(CUcontext ctx)
{
    return cuCtxPushCurrent_v2(ctx);
}

CUresult cuCtxPopCurrent_v2(CUcontext *ctx)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (current.depth == 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    current.depth--;
    if (ctx != NULL)
        *ctx = current.stack[current.depth];
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext *ctx)
{
    return cuCtxPopCurrent_v2(ctx);
}

CUresult cuCtxSetCurrent(CUcontext ctx)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (ctx != NULL && !is_context(ctx))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (ctx == NULL) {
        current.depth -= current.depth > 0;
        return CUDA_SUCCESS;
    }
    current.depth += current.depth == 0;
    current.stack[current.depth - 1] = ctx;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *ctx)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (ctx == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *ctx = current.depth == 0 ? NULL : current.stack[current.depth - 1];
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);

    if (r != CUDA_SUCCESS)
        return r;
    if (device == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *device = c->device->ordinal;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetFlags(unsigned *flags)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);

    if (r == CUDA_SUCCESS && flags != NULL)
        *flags = c->flags;
    return r != CUDA_SUCCESS || flags != NULL ? r : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned *version)
{
    struct fc_context *c = ctx;
    CUresult r = ctx != NULL ? CUDA_SUCCESS : fc_current(&c);

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (r != CUDA_SUCCESS)
        return r;
    if (!is_alive(c))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (version == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *version = 3020;
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void)
{
    struct fc_context *c;
    CUresult r = fc_current(&c);

    if (r == CUDA_SUCCESS)
        fc_trim_pools(c->device);
    return r;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice device)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (ctx == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&fc_driver.mu);
    r = fc_fault(d);
    if (r == CUDA_SUCCESS && d->primary == NULL) {
        d->primary = record_find();
        if (d->primary != NULL)
            d->primary->primary = true;
        else
            r = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (r == CUDA_SUCCESS && d->primary_refs == 0)
        r = context_start(d->primary, d, d->primary_flags);
    if (r == CUDA_SUCCESS) {
        d->primary_refs++;
        *ctx = d->primary;
    }
    pthread_mutex_unlock(&fc_driver.mu);
    return r;
}

/* Drops one reference, or all. */
static CUresult primary_drop(CUdevice device, bool all)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    pthread_mutex_lock(&fc_driver.mu);
    if (d->primary_refs == 0) {
        r = all ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
    } else {
        d->primary_refs = all ? 0 : d->primary_refs - 1;
        if (d->primary_refs == 0)
            context_end(d->primary);
    }
    pthread_mutex_unlock(&fc_driver.mu);
    return r;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    return primary_drop(device, false);
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    return primary_drop(device, false);
}

CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
    return primary_drop(device, true);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    return primary_drop(device, true);
}

static CUresult primary_flags(CUdevice device, unsigned flags, bool while_active)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    pthread_mutex_lock(&fc_driver.mu);
    if (d->primary_refs > 0 && !while_active)
        r = CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE;
    else
        d->primary_flags = flags;
    pthread_mutex_unlock(&fc_driver.mu);
    return r;
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned flags)
{
    return primary_flags(device, flags, false);
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags)
{
    return primary_flags(device, flags, true);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (flags == NULL || active == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&fc_driver.mu);
    *flags = d->primary_flags;
    *active = d->primary_refs > 0;
    pthread_mutex_unlock(&fc_driver.mu);
    return CUDA_SUCCESS;
}
