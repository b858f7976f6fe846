/* What the parts of cudaprobe share: the driver functions it calls, and its output. */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef void *CUcontext;
typedef unsigned long long CUmemGenericAllocationHandle;

enum { CUDA_SUCCESS = 0, CUDA_ERROR_OUT_OF_MEMORY = 2 };

typedef struct {
    unsigned char bytes[16];
} CUuuid;

typedef struct {
    int type; /* 1: pinned */
    int handle_types;
    int location_type; /* 1: device */
    int location_id;
    void *win32_meta;
    unsigned char flags[8];
} CUmemAllocationProp;

_Static_assert(sizeof(CUmemAllocationProp) == 32, "CUmemAllocationProp");

/* The driver's functions, by the names that a program built against cuda.h asks for. */
#define PROBE_CUDA_FUNCTIONS(X)                                                                    \
    X(init, "cuInit", (unsigned flags))                                                            \
    X(device_count, "cuDeviceGetCount", (int *count))                                              \
    X(device_get, "cuDeviceGet", (CUdevice * device, int ordinal))                                 \
    X(device_uuid, "cuDeviceGetUuid", (CUuuid * uuid, CUdevice device))                            \
    X(device_total, "cuDeviceTotalMem_v2", (size_t * bytes, CUdevice device))                      \
    X(primary_retain, "cuDevicePrimaryCtxRetain", (CUcontext * context, CUdevice device))          \
    X(set_current, "cuCtxSetCurrent", (CUcontext context))                                         \
    X(mem_info, "cuMemGetInfo_v2", (size_t * free_bytes, size_t * total_bytes))                    \
    X(mem_alloc, "cuMemAlloc_v2", (CUdeviceptr * address, size_t bytes))                           \
    X(mem_free, "cuMemFree_v2", (CUdeviceptr address))                                             \
    X(mem_managed, "cuMemAllocManaged", (CUdeviceptr * address, size_t bytes, unsigned flags))     \
    X(mem_pitch, "cuMemAllocPitch_v2",                                                             \
      (CUdeviceptr * address, size_t * pitch, size_t width, size_t height, unsigned element))      \
    X(mem_create, "cuMemCreate",                                                                   \
      (CUmemGenericAllocationHandle * handle, size_t bytes, const CUmemAllocationProp *prop,       \
       unsigned long long flags))                                                                  \
    X(mem_release, "cuMemRelease", (CUmemGenericAllocationHandle handle))                          \
    X(mem_alloc_async, "cuMemAllocAsync", (CUdeviceptr * address, size_t bytes, void *stream))     \
    X(mem_free_async, "cuMemFreeAsync", (CUdeviceptr address, void *stream))                       \
    X(memset8, "cuMemsetD8_v2", (CUdeviceptr address, unsigned char value, size_t count))          \
    X(error_name, "cuGetErrorName", (CUresult result, const char **name))

struct probe_cuda {
#define PROBE_FIELD(field, name, parameters) CUresult(*field) parameters;
    PROBE_CUDA_FUNCTIONS(PROBE_FIELD)
#undef PROBE_FIELD
};

/* The driver, loaded at the first call. On failure the program says so and ends with status 3. */
const struct probe_cuda *probe_cuda(void);

/* The result's published name, "CUDA_ERROR_..." */
const char *probe_error_name(CUresult result);

/* The driver's answer about one visible device. */
struct probe_device {
    int ordinal;
    char uuid[41]; /* GPU-8-4-4-4-12 */
};

int probe_device_count(void);
struct probe_device probe_device(int ordinal);
/* Makes the device's primary context current; the first call per device opens it. */
CUresult probe_use(int ordinal);

/* NVML's view of a card by UUID; false when NVML or the card is not there. */
struct probe_nvml_memory {
    unsigned long long total, free, used;
};
bool probe_nvml_memory(const char *uuid, struct probe_nvml_memory *memory, const char **why);

#endif
