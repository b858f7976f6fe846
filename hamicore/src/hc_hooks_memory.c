/* Hooks of the classic allocation calls. */
#include <errno.h>

#include "hc_hooks.h"
#include "hc_map.h"

#define UNIT 512u

hc_result hc_reserve(const struct hc_where *w, uint64_t bytes)
{
    int failed = hc_account_take(w->card, bytes);

    if (__builtin_expect(failed == ENOMEM, 0) && hc_pool_trim(w->card, w->device))
        failed = hc_account_take(w->card, bytes);
    return failed == 0 ? HC_CUDA_SUCCESS : HC_CUDA_OUT_OF_MEMORY;
}

hc_result hc_reserve_exact(int card, hc_device device, uint64_t bytes)
{
    int failed = hc_account_charge(card, bytes);

    if (failed == ENOMEM && hc_pool_trim(card, device))
        failed = hc_account_charge(card, bytes);
    return failed == 0 ? HC_CUDA_SUCCESS : HC_CUDA_OUT_OF_MEMORY;
}

hc_result hc_commit(const struct hc_where *w, hc_result r, hc_devptr at, uint64_t bytes)
{
    struct hc_entry e = {.key = at,
                         .size = (bytes + UNIT - 1) / UNIT * UNIT,
                         .ref = (uint64_t)(uintptr_t)w->ctx,
                         .card = (uint32_t)w->card,
                         .kind = HC_ENTRY_LINEAR};

    if (__builtin_expect(r == HC_CUDA_SUCCESS, 1)) {
        if (__builtin_expect(hc_map_put(&e), 1))
            return r;
        /* Memory whose size nobody knows could never be given back. */
        HC_CALL(r, hc_real.cuMemFree_v2(at));
        r = HC_CUDA_OUT_OF_MEMORY;
    }
    hc_account_give(w->card, bytes);
    return r;
}

/* The entry goes before the driver is asked: the address may be handed out again, to another
 * thread, the moment that it is free. */
bool hc_free_begin(hc_devptr at, struct hc_entry *e)
{
    return hc_map_take(HC_ENTRY_LINEAR, at, e) || hc_map_take(HC_ENTRY_POOLED, at, e);
}

void hc_free_end(const struct hc_entry *e, bool known, hc_result r)
{
    if (!known)
        return;
    if (r == HC_CUDA_SUCCESS)
        hc_account_give((int)e->card, e->size);
    else
        hc_map_put(e); /* cannot fail: the place has just been vacated, unless taken meanwhile */
}

hc_result cuMemAlloc_v2(hc_devptr *ptr, size_t bytes)
{
    struct hc_where w;
    hc_result r;

    if (hc_passes() || !hc_where_now(&w) || ptr == NULL)
        return hc_real.cuMemAlloc_v2(ptr, bytes);
    r = hc_reserve(&w, bytes);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuMemAlloc_v2(ptr, bytes));
    return hc_commit(&w, r, *ptr, bytes);
}

/* The first generation, with 32-bit addresses. */
hc_result cuMemAlloc(unsigned *ptr, unsigned bytes)
{
    struct hc_where w;
    hc_result r;

    if (hc_passes() || !hc_where_now(&w) || ptr == NULL)
        return hc_real.cuMemAlloc(ptr, bytes);
    r = hc_reserve(&w, bytes);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuMemAlloc(ptr, bytes));
    return hc_commit(&w, r, *ptr, bytes);
}

hc_result cuMemAllocManaged(hc_devptr *ptr, size_t bytes, unsigned flags)
{
    struct hc_where w;
    hc_result r;

    if (hc_passes() || !hc_where_now(&w) || ptr == NULL)
        return hc_real.cuMemAllocManaged(ptr, bytes, flags);
    r = hc_reserve(&w, bytes);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuMemAllocManaged(ptr, bytes, flags));
    return hc_commit(&w, r, *ptr, bytes);
}

/* Rows are at least width bytes apart. Overflow: more than any card has. */
static uint64_t area(uint64_t pitch, uint64_t height)
{
    uint64_t bytes;

    return __builtin_mul_overflow(pitch, height, &bytes) ? UINT64_MAX : bytes;
}

/* The driver chooses the pitch, so what is missing is charged after it has. */
static hc_result commit_pitched(const struct hc_where *w, hc_result r, hc_devptr at,
                                uint64_t reserved, uint64_t bytes)
{
    if (r == HC_CUDA_SUCCESS && bytes != reserved) {
        /* Second charge before the first is given back: in between, a neighbour could take it. */
        if (hc_reserve(w, bytes) == HC_CUDA_SUCCESS) {
            hc_account_give(w->card, reserved);
            reserved = bytes;
        } else {
            hc_account_give(w->card, reserved);
            if (hc_reserve(w, bytes) == HC_CUDA_SUCCESS)
                return hc_commit(w, r, at, bytes);
            HC_CALL(r, hc_real.cuMemFree_v2(at));
            return HC_CUDA_OUT_OF_MEMORY;
        }
    }
    return hc_commit(w, r, at, reserved);
}

hc_result cuMemAllocPitch_v2(hc_devptr *ptr, size_t *pitch, size_t width, size_t height,
                             unsigned element)
{
    uint64_t reserved = area(width, height);
    struct hc_where w;
    hc_result r;

    if (hc_passes() || !hc_where_now(&w) || ptr == NULL || pitch == NULL)
        return hc_real.cuMemAllocPitch_v2(ptr, pitch, width, height, element);
    r = hc_reserve(&w, reserved);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuMemAllocPitch_v2(ptr, pitch, width, height, element));
    return commit_pitched(&w, r, *ptr, reserved, r == HC_CUDA_SUCCESS ? area(*pitch, height) : 0);
}

hc_result cuMemAllocPitch(unsigned *ptr, unsigned *pitch, unsigned width, unsigned height,
                          unsigned element)
{
    uint64_t reserved = area(width, height);
    struct hc_where w;
    hc_result r;

    if (hc_passes() || !hc_where_now(&w) || ptr == NULL || pitch == NULL)
        return hc_real.cuMemAllocPitch(ptr, pitch, width, height, element);
    r = hc_reserve(&w, reserved);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuMemAllocPitch(ptr, pitch, width, height, element));
    return commit_pitched(&w, r, *ptr, reserved, r == HC_CUDA_SUCCESS ? area(*pitch, height) : 0);
}

hc_result cuMemFree_v2(hc_devptr ptr)
{
    struct hc_entry e;
    hc_result r;
    bool known;

    if (hc_passes())
        return hc_real.cuMemFree_v2(ptr);
    known = hc_free_begin(ptr, &e);
    HC_CALL(r, hc_real.cuMemFree_v2(ptr));
    hc_free_end(&e, known, r);
    return r;
}

hc_result cuMemFree(unsigned ptr)
{
    struct hc_entry e;
    hc_result r;
    bool known;

    if (hc_passes())
        return hc_real.cuMemFree(ptr);
    known = hc_free_begin(ptr, &e);
    HC_CALL(r, hc_real.cuMemFree(ptr));
    hc_free_end(&e, known, r);
    return r;
}
