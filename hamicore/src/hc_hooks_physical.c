/* Hooks of physical memory apart from addresses. A handle is charged at its creation to the card
 * where it lies, and given back when its last reference and its last map are gone. */
#include "hc_hooks.h"
#include "hc_map.h"

hc_result cuMemCreate(hc_handle *handle, size_t size, const struct hc_mem_prop *prop,
                      unsigned long long flags)
{
    struct hc_entry e = {.kind = HC_ENTRY_PHYSICAL, .ref = 1};
    hc_result r;
    int card;

    /* Memory of the host is not the card's. */
    if (hc_passes() || handle == NULL || prop == NULL || prop->location.type != HC_LOCATION_DEVICE)
        return hc_real.cuMemCreate(handle, size, prop, flags);
    card = hc_account_mode() == HC_MODE_ON ? hc_card_of(prop->location.id) : HC_CARD_OUTSIDE;
    e.card = (uint32_t)card;
    e.size = hc_account_rounded(size);
    r = hc_reserve_exact(card, prop->location.id, e.size);
    if (r != HC_CUDA_SUCCESS)
        return r;
    HC_CALL(r, hc_real.cuMemCreate(handle, size, prop, flags));
    if (r == HC_CUDA_SUCCESS) {
        e.key = *handle;
        if (hc_map_put(&e))
            return r;
        HC_CALL(r, hc_real.cuMemRelease(*handle));
        r = HC_CUDA_OUT_OF_MEMORY;
    }
    hc_account_uncharge(card, e.size);
    return r;
}

/* One reference or map less. The entry goes before the driver is asked, as with addresses. */
static bool drop_begin(hc_handle handle, struct hc_entry *e)
{
    return hc_map_add_ref(HC_ENTRY_PHYSICAL, handle, -1, e);
}

static void drop_end(struct hc_entry *e, bool known, hc_result r)
{
    struct hc_entry now;

    if (!known)
        return;
    if (r == HC_CUDA_SUCCESS) {
        if (e->ref == 0)
            hc_account_uncharge((int)e->card, e->size);
    } else if (!hc_map_add_ref(HC_ENTRY_PHYSICAL, e->key, 1, &now)) {
        e->ref = 1;
        hc_map_put(e);
    }
}

hc_result cuMemRelease(hc_handle handle)
{
    struct hc_entry e;
    hc_result r;
    bool known;

    if (hc_passes())
        return hc_real.cuMemRelease(handle);
    known = drop_begin(handle, &e);
    HC_CALL(r, hc_real.cuMemRelease(handle));
    drop_end(&e, known, r);
    return r;
}

hc_result cuMemRetainAllocationHandle(hc_handle *handle, void *addr)
{
    struct hc_entry e;
    hc_result r;

    if (hc_passes())
        return hc_real.cuMemRetainAllocationHandle(handle, addr);
    HC_CALL(r, hc_real.cuMemRetainAllocationHandle(handle, addr));
    if (r == HC_CUDA_SUCCESS)
        hc_map_add_ref(HC_ENTRY_PHYSICAL, *handle, 1, &e);
    return r;
}

hc_result cuMemMap(hc_devptr ptr, size_t size, size_t offset, hc_handle handle,
                   unsigned long long flags)
{
    struct hc_entry e, map = {.key = ptr, .size = size, .ref = handle, .kind = HC_ENTRY_MAPPING};
    hc_result r;
    bool known;

    if (hc_passes())
        return hc_real.cuMemMap(ptr, size, offset, handle, flags);
    /* Counted before, so that a release in another thread does not give the memory back. */
    known = hc_map_add_ref(HC_ENTRY_PHYSICAL, handle, 1, &e);
    HC_CALL(r, hc_real.cuMemMap(ptr, size, offset, handle, flags));
    if (!known)
        return r;
    if (r == HC_CUDA_SUCCESS) {
        hc_map_put(&map); /* without memory for it the handle stays charged */
    } else if (drop_begin(handle, &e)) {
        drop_end(&e, true, HC_CUDA_SUCCESS);
    }
    return r;
}

/* One call may undo several maps, each as a whole. */
hc_result cuMemUnmap(hc_devptr ptr, size_t size)
{
    struct hc_entry map, e;
    hc_result r;

    if (hc_passes())
        return hc_real.cuMemUnmap(ptr, size);
    HC_CALL(r, hc_real.cuMemUnmap(ptr, size));
    if (r != HC_CUDA_SUCCESS)
        return r;
    /* The addresses stay reserved until cuMemAddressFree, so they cannot be mapped anew by somebody
     * who does not know that they are free. */
    for (hc_devptr at = ptr; at - ptr < size; at += map.size) {
        if (!hc_map_take(HC_ENTRY_MAPPING, at, &map) || map.size == 0)
            break;
        if (drop_begin(map.ref, &e))
            drop_end(&e, true, HC_CUDA_SUCCESS);
    }
    return r;
}
