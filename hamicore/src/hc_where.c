/* Owns the mapping from CUDA's device numbers and contexts to cards of the slice. Cards are told
 * apart by UUID alone: numbers follow CUDA_VISIBLE_DEVICES, and NVML has its own. */
#include "hc_hooks.h"

#define DEVICES 64
#define UNKNOWN 0 /* then the card + 2 */

/* By device number; relaxed, because finding a card twice gives the same. */
static uint32_t cards[DEVICES];

/* Raised when a context ends: its address may come back as another device's. */
static uint64_t generation = 1;

static __thread __attribute__((tls_model("initial-exec"))) struct {
    uint64_t generation;
    struct hc_where where;
} last;

static int card_ask(hc_device device)
{
    struct hc_uuid uuid;
    hc_result r;

    /* _v2 names a MIG device by its own UUID; drivers before 11.4 have no MIG names here. */
    HC_CALL(r, hc_real.cuDeviceGetUuid_v2(&uuid, device));
    if (r == HC_CUDA_NOT_SUPPORTED)
        HC_CALL(r, hc_real.cuDeviceGetUuid(&uuid, device));
    return r == HC_CUDA_SUCCESS ? hc_limits_card(&uuid) : HC_CARD_OUTSIDE - 1;
}

int hc_card_of(hc_device device)
{
    uint32_t known;
    int card;

    if (device < 0 || device >= DEVICES)
        return HC_CARD_OUTSIDE;
    known = hc_load_relaxed32(&cards[device]); /* relaxed: see the table */
    if (__builtin_expect(known != UNKNOWN, 1))
        return (int)known - 2;
    card = card_ask(device);
    if (card < HC_CARD_OUTSIDE) /* the driver does not know yet, or there is no such device */
        return HC_CARD_OUTSIDE;
    hc_store_release32(&cards[device], (uint32_t)(card + 2)); /* stronger than needed */
    return card;
}

bool hc_where_now(struct hc_where *w)
{
    /* acquire: pairs with hc_where_changed. */
    uint64_t now = hc_load_acquire64(&generation);
    hc_ctx ctx = NULL;
    hc_result r;

    HC_CALL(r, hc_real.cuCtxGetCurrent(&ctx));
    if (r != HC_CUDA_SUCCESS || ctx == NULL)
        return false;
    if (__builtin_expect(ctx == last.where.ctx && now == last.generation, 1)) {
        *w = last.where;
        return true;
    }
    HC_CALL(r, hc_real.cuCtxGetDevice(&w->device));
    if (r != HC_CUDA_SUCCESS)
        return false;
    w->ctx = ctx;
    w->card = hc_account_mode() == HC_MODE_ON ? hc_card_of(w->device) : HC_CARD_OUTSIDE;
    last.where = *w;
    last.generation = now;
    return true;
}

void hc_where_changed(void)
{
    hc_add_acqrel64(&generation, 1); /* acq_rel: behind the end of the context */
}
