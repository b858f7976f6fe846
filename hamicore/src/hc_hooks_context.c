/* Hooks of what creates and ends contexts. A context costs memory before the first allocation in
 * it, and takes all its allocations with it when it ends. */
#include <errno.h>

#include "hc_hooks.h"
#include "hc_map.h"

#define DEVICES 64

/* The primary context of each device, as last retained. */
static void *primaries[DEVICES];

hc_result cuInit(unsigned flags)
{
    /* Opened here, before any thread needs it; a limits file that cannot be read ends here. */
    if (hc_inside == 0 && hc_account_mode() == HC_MODE_CLOSED)
        return HC_CUDA_NOT_PERMITTED;
    return hc_real.cuInit(flags);
}

/* A card that the slice does not have is not there for contexts either. CDI shows none, so this is
 * for privileged containers and for mistakes of ours. */
static hc_result check_card(hc_device device, int *card)
{
    if (hc_account_mode() == HC_MODE_CLOSED)
        return HC_CUDA_NOT_PERMITTED;
    *card = hc_card_of(device);
    if (*card != HC_CARD_OUTSIDE)
        return HC_CUDA_SUCCESS;
    hc_account_charge(HC_CARD_OUTSIDE, 0); /* says so, once */
    return HC_CUDA_INVALID_DEVICE;
}

static void give_back(const struct hc_entry *e)
{
    hc_account_give((int)e->card, e->size);
}

/* The driver has freed what was allocated in the context. */
static void context_ended(hc_ctx ctx)
{
    hc_where_changed();
    if (ctx != NULL)
        hc_map_drop(HC_ENTRY_LINEAR, (uint64_t)(uintptr_t)ctx, give_back);
}

bool hc_where_of(hc_ctx ctx, struct hc_where *w)
{
    struct hc_entry e;

    w->ctx = ctx;
    w->device = -1;
    for (int i = 0; i < DEVICES && w->device < 0; i++) {
        /* acquire: pairs with the release in the retain. */
        if (hc_load_acquire_ptr(&primaries[i]) == ctx)
            w->device = i;
    }
    if (w->device < 0 && hc_map_find(HC_ENTRY_CONTEXT, (uint64_t)(uintptr_t)ctx, &e))
        w->device = (hc_device)e.ref;
    w->card = hc_card_of(w->device);
    return w->device >= 0;
}

hc_result cuDevicePrimaryCtxRetain(hc_ctx *ctx, hc_device device)
{
    hc_result r;
    int card, failed;

    if (hc_passes())
        return hc_real.cuDevicePrimaryCtxRetain(ctx, device);
    r = check_card(device, &card);
    if (r != HC_CUDA_SUCCESS)
        return r;
    failed = hc_account_primary_enter(card);
    if (failed == ENOMEM && hc_pool_trim(card, device))
        failed = hc_account_primary_enter(card);
    if (failed != 0)
        return HC_CUDA_OUT_OF_MEMORY;
    HC_CALL(r, hc_real.cuDevicePrimaryCtxRetain(ctx, device));
    if (r == HC_CUDA_SUCCESS)
        hc_store_release_ptr(&primaries[device],
                             *ctx); /* pairs with the acquire in primary_check */
    hc_account_primary_leave(card, r == HC_CUDA_SUCCESS);
    return r;
}

/* After a release or reset: the driver knows whether the context is still there. */
static hc_result primary_check(hc_device device, hc_result released)
{
    int card = hc_card_of(device), active = 1;
    uint64_t ticket;
    unsigned flags;
    hc_result r;

    if (released != HC_CUDA_SUCCESS || card == HC_CARD_OUTSIDE)
        return released;
    ticket = hc_account_primary_ticket(card);
    HC_CALL(r, hc_real.cuDevicePrimaryCtxGetState(device, &flags, &active));
    if (r == HC_CUDA_SUCCESS && active == 0 && hc_account_primary_ended(card, ticket))
        context_ended(hc_load_acquire_ptr(&primaries[device]));
    return released;
}

hc_result cuDevicePrimaryCtxRelease_v2(hc_device device)
{
    hc_result r;

    if (hc_passes())
        return hc_real.cuDevicePrimaryCtxRelease_v2(device);
    HC_CALL(r, hc_real.cuDevicePrimaryCtxRelease_v2(device));
    return primary_check(device, r);
}

hc_result cuDevicePrimaryCtxRelease(hc_device device)
{
    hc_result r;

    if (hc_passes())
        return hc_real.cuDevicePrimaryCtxRelease(device);
    HC_CALL(r, hc_real.cuDevicePrimaryCtxRelease(device));
    return primary_check(device, r);
}

hc_result cuDevicePrimaryCtxReset_v2(hc_device device)
{
    hc_result r;

    if (hc_passes())
        return hc_real.cuDevicePrimaryCtxReset_v2(device);
    HC_CALL(r, hc_real.cuDevicePrimaryCtxReset_v2(device));
    return primary_check(device, r);
}

hc_result cuDevicePrimaryCtxReset(hc_device device)
{
    hc_result r;

    if (hc_passes())
        return hc_real.cuDevicePrimaryCtxReset(device);
    HC_CALL(r, hc_real.cuDevicePrimaryCtxReset(device));
    return primary_check(device, r);
}

/* Charges a context of its own; *e says what it costs. */
static hc_result create_begin(hc_device device, struct hc_entry *e)
{
    hc_result r;
    int card;

    r = check_card(device, &card);
    if (r != HC_CUDA_SUCCESS)
        return r;
    *e = (struct hc_entry){
        .kind = HC_ENTRY_CONTEXT, .card = (uint32_t)card, .ref = (uint64_t)(unsigned)device};
    /* Whole units: the entry keeps no smaller ones. */
    e->size = (hc_limits_context((uint32_t)card) + 511) / 512 * 512;
    return hc_reserve_exact(card, device, e->size);
}

static hc_result create_end(struct hc_entry *e, hc_result r, const hc_ctx *ctx)
{
    if (r == HC_CUDA_SUCCESS) {
        e->key = (uint64_t)(uintptr_t)*ctx;
        hc_map_put(e); /* without memory for it the charge stays for the life of the process */
    } else {
        hc_account_uncharge((int)e->card, e->size);
    }
    return r;
}

hc_result cuCtxCreate(hc_ctx *ctx, unsigned flags, hc_device device)
{
    struct hc_entry e;
    hc_result r;

    if (hc_passes())
        return hc_real.cuCtxCreate(ctx, flags, device);
    r = create_begin(device, &e);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuCtxCreate(ctx, flags, device));
    return create_end(&e, r, ctx);
}

hc_result cuCtxCreate_v2(hc_ctx *ctx, unsigned flags, hc_device device)
{
    struct hc_entry e;
    hc_result r;

    if (hc_passes())
        return hc_real.cuCtxCreate_v2(ctx, flags, device);
    r = create_begin(device, &e);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuCtxCreate_v2(ctx, flags, device));
    return create_end(&e, r, ctx);
}

hc_result cuCtxCreate_v3(hc_ctx *ctx, void *affinity, int count, unsigned flags, hc_device device)
{
    struct hc_entry e;
    hc_result r;

    if (hc_passes())
        return hc_real.cuCtxCreate_v3(ctx, affinity, count, flags, device);
    r = create_begin(device, &e);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuCtxCreate_v3(ctx, affinity, count, flags, device));
    return create_end(&e, r, ctx);
}

hc_result cuCtxCreate_v4(hc_ctx *ctx, void *settings, unsigned flags, hc_device device)
{
    struct hc_entry e;
    hc_result r;

    if (hc_passes())
        return hc_real.cuCtxCreate_v4(ctx, settings, flags, device);
    r = create_begin(device, &e);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuCtxCreate_v4(ctx, settings, flags, device));
    return create_end(&e, r, ctx);
}

static hc_result destroy_end(const struct hc_entry *e, bool known, hc_result r, hc_ctx ctx)
{
    if (r == HC_CUDA_SUCCESS) {
        context_ended(ctx);
        if (known)
            hc_account_uncharge((int)e->card, e->size);
    } else if (known) {
        hc_map_put(e);
    }
    return r;
}

hc_result cuCtxDestroy_v2(hc_ctx ctx)
{
    struct hc_entry e;
    hc_result r;
    bool known;

    if (hc_passes())
        return hc_real.cuCtxDestroy_v2(ctx);
    known = hc_map_take(HC_ENTRY_CONTEXT, (uint64_t)(uintptr_t)ctx, &e);
    HC_CALL(r, hc_real.cuCtxDestroy_v2(ctx));
    return destroy_end(&e, known, r, ctx);
}

hc_result cuCtxDestroy(hc_ctx ctx)
{
    struct hc_entry e;
    hc_result r;
    bool known;

    if (hc_passes())
        return hc_real.cuCtxDestroy(ctx);
    known = hc_map_take(HC_ENTRY_CONTEXT, (uint64_t)(uintptr_t)ctx, &e);
    HC_CALL(r, hc_real.cuCtxDestroy(ctx));
    return destroy_end(&e, known, r, ctx);
}
