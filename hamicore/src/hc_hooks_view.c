/* Hooks that answer with the slice instead of the card. NVML keeps its own order of devices; a card
 * is found by UUID there too. */
#include "hc_hooks.h"

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static unsigned clamp32(uint64_t v)
{
    return v > UINT32_MAX ? UINT32_MAX : (unsigned)v;
}

/* Of a card that the slice does not have nothing is free. The charged sum may exceed the limit when
 * the agent lowers it: then nothing is free either. */
static void slice_info(int card, size_t *free_bytes, size_t *total)
{
    uint64_t limit, used;

    if (card == HC_CARD_OUTSIDE) {
        *free_bytes = 0;
        return;
    }
    limit = hc_account_limit(card);
    used = min64(hc_account_used(card), limit);
    *free_bytes = min64(*free_bytes, limit - used);
    *total = limit;
}

hc_result cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    struct hc_where w;
    hc_result r;

    if (hc_passes())
        return hc_real.cuMemGetInfo_v2(free_bytes, total);
    HC_CALL(r, hc_real.cuMemGetInfo_v2(free_bytes, total));
    if (r == HC_CUDA_SUCCESS && hc_where_now(&w)) {
        hc_pool_refresh(&w);
        slice_info(w.card, free_bytes, total);
    }
    return r;
}

hc_result cuMemGetInfo(unsigned *free_bytes, unsigned *total)
{
    struct hc_where w;
    size_t f, t;
    hc_result r;

    if (hc_passes())
        return hc_real.cuMemGetInfo(free_bytes, total);
    HC_CALL(r, hc_real.cuMemGetInfo(free_bytes, total));
    if (r != HC_CUDA_SUCCESS || !hc_where_now(&w))
        return r;
    f = *free_bytes;
    t = *total;
    slice_info(w.card, &f, &t);
    *free_bytes = clamp32(f);
    *total = clamp32(t);
    return r;
}

hc_result cuDeviceTotalMem_v2(size_t *bytes, hc_device device)
{
    hc_result r;
    int card;

    if (hc_passes())
        return hc_real.cuDeviceTotalMem_v2(bytes, device);
    HC_CALL(r, hc_real.cuDeviceTotalMem_v2(bytes, device));
    if (r != HC_CUDA_SUCCESS || hc_account_mode() != HC_MODE_ON)
        return r;
    card = hc_card_of(device);
    if (card != HC_CARD_OUTSIDE)
        *bytes = hc_account_limit(card);
    return r;
}

hc_result cuDeviceTotalMem(unsigned *bytes, hc_device device)
{
    hc_result r;
    int card;

    if (hc_passes())
        return hc_real.cuDeviceTotalMem(bytes, device);
    HC_CALL(r, hc_real.cuDeviceTotalMem(bytes, device));
    if (r != HC_CUDA_SUCCESS || hc_account_mode() != HC_MODE_ON)
        return r;
    card = hc_card_of(device);
    if (card != HC_CARD_OUTSIDE)
        *bytes = clamp32(hc_account_limit(card));
    return r;
}

/* The slice's card behind an NVML handle. */
static int card_of_nvml(hc_nvml_device device)
{
    char text[HC_UUID_SIZE + 32];
    struct hc_uuid uuid;
    hc_result r;

    HC_CALL(r, hc_real.nvmlDeviceGetUUID(device, text, sizeof(text)));
    if (r != HC_NVML_SUCCESS || !hc_uuid_parse(text, &uuid))
        return HC_CARD_OUTSIDE;
    return hc_limits_card(&uuid);
}

hc_result nvmlDeviceGetMemoryInfo(hc_nvml_device device, struct hc_nvml_memory *memory)
{
    hc_result r;
    int card;

    if (hc_passes())
        return hc_real.nvmlDeviceGetMemoryInfo(device, memory);
    if (hc_account_mode() == HC_MODE_CLOSED)
        return HC_NVML_NO_PERMISSION;
    HC_CALL(r, hc_real.nvmlDeviceGetMemoryInfo(device, memory));
    card = r == HC_NVML_SUCCESS ? card_of_nvml(device) : HC_CARD_OUTSIDE;
    if (card != HC_CARD_OUTSIDE) {
        memory->total = hc_account_limit(card);
        memory->used = min64(hc_account_used(card), memory->total);
        memory->free = memory->total - memory->used;
    }
    return r;
}

hc_result nvmlDeviceGetMemoryInfo_v2(hc_nvml_device device, struct hc_nvml_memory_v2 *memory)
{
    hc_result r;
    int card;

    if (hc_passes())
        return hc_real.nvmlDeviceGetMemoryInfo_v2(device, memory);
    if (hc_account_mode() == HC_MODE_CLOSED)
        return HC_NVML_NO_PERMISSION;
    HC_CALL(r, hc_real.nvmlDeviceGetMemoryInfo_v2(device, memory));
    card = r == HC_NVML_SUCCESS ? card_of_nvml(device) : HC_CARD_OUTSIDE;
    if (card != HC_CARD_OUTSIDE) {
        memory->total = hc_account_limit(card);
        memory->used = min64(hc_account_used(card), memory->total);
        memory->free = memory->total - memory->used;
        memory->reserved = 0; /* what the driver keeps for itself is not the slice's */
    }
    return r;
}
