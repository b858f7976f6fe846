/* Hooks of stream-ordered allocation. A pool takes memory in chunks of its own and keeps it after a
 * free, so it is charged by what it has reserved: the request's rounded size beforehand, then the
 * difference that the driver tells. Drivers whose pools tell nothing are charged by request. */
#include <errno.h>

#include "hc_hooks.h"
#include "hc_map.h"

#define UNIT 512u
#define BUILT_IN_STREAMS ((uintptr_t)2) /* NULL, legacy, per thread */

/* What the device's current pool has reserved; false: the driver does not tell. */
static bool pool_reserved(hc_device device, hc_pool *pool, uint64_t *bytes)
{
    hc_result r;

    HC_CALL(r, hc_real.cuDeviceGetMemPool(pool, device));
    if (r == HC_CUDA_SUCCESS)
        HC_CALL(r, hc_real.cuMemPoolGetAttribute(*pool, HC_POOL_RESERVED_CURRENT, bytes));
    return r == HC_CUDA_SUCCESS;
}

/* False: the driver does not tell, and nothing is settled. */
static bool settle(int card, hc_device device, uint64_t credit, bool force, int *failed)
{
    uint64_t ticket = hc_account_pool_ticket(card), reserved;
    hc_pool pool;

    if (!pool_reserved(device, &pool, &reserved))
        return false;
    *failed = hc_account_pool_settle(card, ticket, reserved, credit, force);
    return true;
}

bool hc_pool_trim(int card, hc_device device)
{
    uint64_t before, bytes;
    hc_pool pool;
    hc_result r;
    int failed;

    if (card == HC_CARD_OUTSIDE || !pool_reserved(device, &pool, &bytes))
        return false;
    before = hc_account_used(card);
    HC_CALL(r, hc_real.cuMemPoolTrimTo(pool, 0));
    return r == HC_CUDA_SUCCESS && settle(card, device, 0, true, &failed) &&
           hc_account_used(card) < before;
}

/* The stream's device, which need not be the current one. */
static bool where_of(hc_stream stream, struct hc_where *w)
{
    struct hc_where stream_where;
    hc_ctx ctx;
    hc_result r;

    if (!hc_where_now(w))
        return false;
    if ((uintptr_t)stream <= BUILT_IN_STREAMS)
        return true;
    HC_CALL(r, hc_real.cuStreamGetCtx(stream, &ctx));
    if (r == HC_CUDA_SUCCESS && ctx != w->ctx && hc_where_of(ctx, &stream_where))
        *w = stream_where;
    return true;
}

/* The pool grew by more than the limit allows: hand all back. */
static hc_result undo(const struct hc_where *w, hc_devptr at, hc_stream stream)
{
    hc_result r;

    HC_CALL(r, hc_real.cuMemFreeAsync(at, stream));
    hc_pool_trim(w->card, w->device); /* settles, by force: what the pool still has, it has */
    return r == HC_CUDA_SUCCESS ? HC_CUDA_OUT_OF_MEMORY : r;
}

static hc_result commit(const struct hc_where *w, hc_result r, hc_devptr at, size_t bytes,
                        hc_stream stream)
{
    struct hc_entry e = {.key = at,
                         .size = (bytes + UNIT - 1) / UNIT * UNIT,
                         .card = (uint32_t)w->card,
                         .kind = HC_ENTRY_POOLED};
    int failed;

    if (r != HC_CUDA_SUCCESS) {
        hc_account_uncharge(w->card, hc_account_rounded(bytes));
        return r;
    }
    if (settle(w->card, w->device, hc_account_rounded(bytes), false, &failed))
        return failed == 0 ? r : undo(w, at, stream);
    /* By request: the map gives back what hc_account_take charges. */
    hc_account_uncharge(w->card, hc_account_rounded(bytes));
    if (hc_account_take(w->card, e.size) == 0) {
        if (hc_map_put(&e))
            return r;
        hc_account_give(w->card, e.size);
    }
    HC_CALL(r, hc_real.cuMemFreeAsync(at, stream));
    return HC_CUDA_OUT_OF_MEMORY;
}

typedef hc_result hc_alloc_async_fn(hc_devptr *ptr, size_t bytes, hc_stream stream);
typedef hc_result hc_free_async_fn(hc_devptr ptr, hc_stream stream);

static hc_result alloc_async(hc_alloc_async_fn *real, hc_devptr *ptr, size_t bytes,
                             hc_stream stream)
{
    struct hc_where w;
    hc_result r;

    if (hc_passes() || ptr == NULL || bytes == 0 || !where_of(stream, &w))
        return real(ptr, bytes, stream);
    r = hc_reserve_exact(w.card, w.device, hc_account_rounded(bytes));
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, real(ptr, bytes, stream));
    return commit(&w, r, *ptr, bytes, stream);
}

static hc_result free_async(hc_free_async_fn *real, hc_devptr ptr, hc_stream stream)
{
    struct hc_where w;
    struct hc_entry e;
    hc_result r;
    bool known;
    int failed;

    if (hc_passes())
        return real(ptr, stream);
    known = hc_free_begin(ptr, &e);
    HC_CALL(r, real(ptr, stream));
    hc_free_end(&e, known, r);
    /* Mostly nothing comes back yet: the pool keeps it until the stream is synchronised. */
    if (!known && r == HC_CUDA_SUCCESS && where_of(stream, &w) && w.card != HC_CARD_OUTSIDE)
        settle(w.card, w.device, 0, true, &failed);
    return r;
}

/* A synchronisation is when a pool hands back what was freed before it; other processes of the
 * container wait for that room. */
static hc_result synchronized(hc_stream stream, hc_result r)
{
    struct hc_where w;

    if (r == HC_CUDA_SUCCESS && where_of(stream, &w))
        hc_pool_refresh(&w);
    return r;
}

void hc_pool_refresh(const struct hc_where *w)
{
    int failed;

    if (w->card != HC_CARD_OUTSIDE && hc_account_pool_charged(w->card) > 0)
        settle(w->card, w->device, 0, true, &failed);
}

hc_result cuStreamSynchronize(hc_stream stream)
{
    hc_result r;

    if (hc_passes())
        return hc_real.cuStreamSynchronize(stream);
    HC_CALL(r, hc_real.cuStreamSynchronize(stream));
    return synchronized(stream, r);
}

hc_result cuStreamSynchronize_ptsz(hc_stream stream)
{
    hc_result r;

    if (hc_passes())
        return hc_real.cuStreamSynchronize_ptsz(stream);
    HC_CALL(r, hc_real.cuStreamSynchronize_ptsz(stream));
    return synchronized(stream, r);
}

hc_result cuCtxSynchronize(void)
{
    hc_result r;

    if (hc_passes())
        return hc_real.cuCtxSynchronize();
    HC_CALL(r, hc_real.cuCtxSynchronize());
    return synchronized(NULL, r);
}

hc_result cuMemAllocAsync(hc_devptr *ptr, size_t bytes, hc_stream stream)
{
    return alloc_async(hc_real.cuMemAllocAsync, ptr, bytes, stream);
}

hc_result cuMemAllocAsync_ptsz(hc_devptr *ptr, size_t bytes, hc_stream stream)
{
    return alloc_async(hc_real.cuMemAllocAsync_ptsz, ptr, bytes, stream);
}

hc_result cuMemFreeAsync(hc_devptr ptr, hc_stream stream)
{
    return free_async(hc_real.cuMemFreeAsync, ptr, stream);
}

hc_result cuMemFreeAsync_ptsz(hc_devptr ptr, hc_stream stream)
{
    return free_async(hc_real.cuMemFreeAsync_ptsz, ptr, stream);
}
