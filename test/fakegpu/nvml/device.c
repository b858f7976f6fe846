/* Owns what a card says about itself: identity, memory, place in the machine. */
#include "nvml.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TOPOLOGY_INTERNAL = 0, TOPOLOGY_NODE = 40, TOPOLOGY_SYSTEM = 50 };

/* Most questions have one number for an answer. */
static nvmlReturn_t put(const struct fn_device *d, unsigned *out, const uint32_t *value)
{
    nvmlReturn_t r = fn_device_check(d);

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *out = *value;
    return NVML_SUCCESS;
}

static const uint32_t zero = 0, one = 1;

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t d, unsigned *out)
{
    nvmlReturn_t r = fn_device_check(d);

    return r != NVML_SUCCESS ? r : put(d, out, &d->index);
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t d, unsigned *out)
{
    nvmlReturn_t r = fn_device_check(d);

    return r != NVML_SUCCESS ? r : put(d, out, &d->card->minor_number);
}

nvmlReturn_t nvmlDeviceGetBrand(nvmlDevice_t d, int *out)
{
    nvmlReturn_t r = fn_device_check(d);

    return r != NVML_SUCCESS ? r : put(d, (unsigned *)out, &d->card->brand);
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t d, unsigned *out)
{
    nvmlReturn_t r = fn_device_check(d);

    return r != NVML_SUCCESS ? r : put(d, out, &d->card->architecture);
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t d, int *major, int *minor)
{
    nvmlReturn_t r = fn_device_check(d);

    if (r == NVML_SUCCESS)
        r = put(d, (unsigned *)major, &d->card->cc_major);
    return r != NVML_SUCCESS ? r : put(d, (unsigned *)minor, &d->card->cc_minor);
}

nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t d, int *out)
{
    return put(d, (unsigned *)out, &one);
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t d, int *out)
{
    return put(d, (unsigned *)out, &zero);
}

/* The card could be partitioned, and is not. */
nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned *current, unsigned *pending)
{
    nvmlReturn_t r = put(d, current, &zero);

    return r != NVML_SUCCESS ? r : put(d, pending, &zero);
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t d, unsigned *out)
{
    static const uint32_t most = 7;

    return put(d, out, &most);
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t d, unsigned *out)
{
    return put(d, out, &zero);
}

nvmlReturn_t nvmlDeviceGetNumaNodeId(nvmlDevice_t d, unsigned *out)
{
    nvmlReturn_t r = fn_device_check(d);

    if (r != NVML_SUCCESS)
        return r;
    if (d->card->numa < 0)
        return NVML_ERROR_NOT_SUPPORTED;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *out = (unsigned)d->card->numa;
    return NVML_SUCCESS;
}

/* The machine beneath has no such NUMA nodes: every processor is as near as any other. */
nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t d, unsigned words, unsigned long *out)
{
    nvmlReturn_t r = fn_device_check(d);
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    const unsigned bits = 8 * sizeof(*out);

    if (r != NVML_SUCCESS)
        return r;
    if (words == 0 || out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    memset(out, 0, words * sizeof(*out));
    for (unsigned i = 0; i < (unsigned)cpus && i / bits < words; i++)
        out[i / bits] |= 1ul << (i % bits);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b, int *out)
{
    nvmlReturn_t r = fn_device_check(a);

    if (r == NVML_SUCCESS)
        r = fn_device_check(b);
    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *out = a == b                           ? TOPOLOGY_INTERNAL
           : a->card->numa == b->card->numa ? TOPOLOGY_NODE
                                            : TOPOLOGY_SYSTEM;
    return NVML_SUCCESS;
}

/* Fills the first bytes of the structure: each version only appends to the one before. */
static nvmlReturn_t pci_info(const struct fn_device *d, nvmlPciInfo_t *out, size_t bytes)
{
    nvmlPciInfo_t info = {0};
    nvmlReturn_t r = fn_device_check(d);

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    const struct fg_card *c = d->card;
    snprintf(info.busIdLegacy, sizeof(info.busIdLegacy), "%04X:%02X:%02X.0", c->pci_domain & 0xffff,
             c->pci_bus & 0xff, c->pci_device & 0xff);
    snprintf(info.busId, sizeof(info.busId), "%08X:%02X:%02X.0", c->pci_domain, c->pci_bus,
             c->pci_device);
    info.domain = c->pci_domain;
    info.bus = c->pci_bus;
    info.device = c->pci_device;
    info.pciDeviceId = c->pci_id;
    memcpy(out, &info, bytes);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t d, nvmlPciInfo_t *out)
{
    return pci_info(d, out, offsetof(nvmlPciInfo_t, pciSubSystemId));
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t d, nvmlPciInfo_t *out)
{
    return pci_info(d, out, offsetof(nvmlPciInfo_t, busId));
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *out)
{
    return pci_info(d, out, sizeof(*out));
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *out)
{
    nvmlReturn_t r = fn_device_check(d);

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    fg_reap(&fn_nvml.node);
    uint64_t total = d->card->memory_bytes;
    uint64_t used = fg_card_used(&fn_nvml.node, d->card_index);
    /* A charge about to be rolled back may show for a moment. */
    used = used < total ? used : total;
    *out = (nvmlMemory_t){.total = total, .free = total - used, .used = used};
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t d, nvmlMemory_v2_t *out)
{
    nvmlMemory_t m;
    nvmlReturn_t r = fn_device_check(d);

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (out->version != NVML_MEMORY_V2)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    r = nvmlDeviceGetMemoryInfo(d, &m);
    if (r != NVML_SUCCESS)
        return r;
    out->total = m.total;
    out->reserved = 0;
    out->free = m.free;
    out->used = m.used;
    return NVML_SUCCESS;
}
