/* Owns the questions about devices: identity, attributes, size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

/* An attribute is a number, or a field of the card. */
struct attribute {
    int id;
    int value;
    size_t field; /* offset in struct fg_card, or 0 */
};

#define FIELD(id, name)                                                                            \
    {                                                                                              \
        id, 0, offsetof(struct fg_card, name)                                                      \
    }

static const struct attribute attributes[] = {
    {1, 1024, 0}, /* threads per block */
    {2, 1024, 0}, /* block x, y, z */
    {3, 1024, 0},
    {4, 64, 0},
    {5, 2147483647, 0}, /* grid x, y, z */
    {6, 65535, 0},
    {7, 65535, 0},
    {8, 49152, 0},       /* shared memory per block */
    {9, 65536, 0},       /* constant memory */
    {10, 32, 0},         /* warp size */
    {11, 2147483647, 0}, /* pitch */
    {12, 65536, 0},      /* registers per block */
    {13, 1410000, 0},    /* clock, kHz */
    {14, 512, 0},        /* texture alignment */
    {15, 1, 0},          /* copies overlap kernels */
    FIELD(16, multiprocessors),
    {17, 0, 0}, /* kernel timeout */
    {18, 0, 0}, /* integrated */
    {19, 1, 0}, /* maps host memory */
    {20, 0, 0}, /* compute mode: default */
    {31, 1, 0}, /* concurrent kernels */
    {32, 1, 0}, /* ECC on */
    FIELD(33, pci_bus),
    FIELD(34, pci_device),
    {35, 0, 0},        /* TCC */
    {36, 1593000, 0},  /* memory clock, kHz */
    {37, 5120, 0},     /* memory bus, bits */
    {38, 41943040, 0}, /* L2 */
    {39, 2048, 0},     /* threads per multiprocessor */
    {40, 3, 0},        /* copy engines */
    {41, 1, 0},        /* unified addressing */
    FIELD(50, pci_domain),
    FIELD(75, cc_major),
    FIELD(76, cc_minor),
    {78, 1, 0},      /* stream priorities */
    {81, 167936, 0}, /* shared memory per multiprocessor */
    {82, 65536, 0},  /* registers per multiprocessor */
    {83, 1, 0},      /* managed memory */
    {84, 0, 0},      /* multi-GPU board */
    {88, 0, 0},      /* pageable memory access */
    {89, 1, 0},      /* concurrent managed access */
    {95, 0, 0},      /* cooperative launch */
    {97, 166912, 0}, /* shared memory opt-in */
    {102, 1, 0},     /* virtual memory management */
    {103, 0, 0},     /* export as file descriptor */
    {106, 32, 0},    /* blocks per multiprocessor */
    {115, 1, 0},     /* memory pools */
};

#undef FIELD

CUresult fc_device_of(CUdevice ordinal, struct fc_device **out)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (ordinal < 0 || (uint32_t)ordinal >= fc_driver.device_count)
        return CUDA_ERROR_INVALID_DEVICE;
    *out = fc_driver.visible[ordinal];
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *count = (int)fc_driver.device_count;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    struct fc_device *d;
    CUresult r = fc_device_of(ordinal, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (device == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice device)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (name == NULL || len <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, (size_t)len, "%s", d->card->model);
    return CUDA_SUCCESS;
}

/* The 32 hexadecimal digits behind "GPU-". */
static void parse_uuid(const char *text, CUuuid *out)
{
    char pair[3] = {0};
    size_t n = 0;

    for (const char *p = text + strlen("GPU-"); *p != '\0' && n < 2 * sizeof(out->bytes); p++) {
        if (*p == '-')
            continue;
        pair[n % 2] = *p;
        if (n++ % 2 == 1)
            out->bytes[n / 2 - 1] = (char)strtoul(pair, NULL, 16);
    }
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (uuid == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    parse_uuid(d->card->uuid, uuid);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
    return cuDeviceGetUuid_v2(uuid, device);
}

static int attribute_of(const struct fg_card *card, const struct attribute *a)
{
    int value;

    if (a->field == 0)
        return a->value;
    memcpy(&value, (const char *)card + a->field, sizeof(value));
    return value;
}

CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    for (size_t i = 0; value != NULL && i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        if (attributes[i].id == attribute) {
            *value = attribute_of(d->card, &attributes[i]);
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (major == NULL || minor == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *major = (int)d->card->cc_major;
    *minor = (int)d->card->cc_minor;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char *id, int len, CUdevice device)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (id == NULL || len <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    snprintf(id, (size_t)len, "%04X:%02X:%02X.0", d->card->pci_domain, d->card->pci_bus,
             d->card->pci_device);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetByPCIBusId(CUdevice *device, const char *id)
{
    unsigned domain, bus, slot;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (device == NULL || id == NULL || sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3)
        return CUDA_ERROR_INVALID_VALUE;
    for (uint32_t i = 0; i < fc_driver.device_count; i++) {
        const struct fg_card *c = fc_driver.visible[i]->card;
        if (c->pci_domain == domain && c->pci_bus == bus && c->pci_device == slot) {
            *device = (CUdevice)i;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    struct fc_device *d;
    CUresult r = fc_device_of(device, &d);

    if (r != CUDA_SUCCESS)
        return r;
    if (bytes == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *bytes = d->card->memory_bytes;
    return CUDA_SUCCESS;
}

/* The 32-bit generation saturates: its programs know no larger card. */
CUresult cuDeviceTotalMem(unsigned *bytes, CUdevice device)
{
    size_t wide;
    CUresult r = cuDeviceTotalMem_v2(&wide, device);

    if (r != CUDA_SUCCESS)
        return r;
    if (bytes == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *bytes = wide > UINT32_MAX ? UINT32_MAX : (unsigned)wide;
    return CUDA_SUCCESS;
}
