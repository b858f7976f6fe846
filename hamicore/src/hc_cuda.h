/* The part of the CUDA driver's and NVML's ABI that we touch, in types of our own: handles are
 * numbers or untyped pointers to us. Values as published with CUDA 12. */
#ifndef HC_CUDA_H
#define HC_CUDA_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

typedef int hc_result; /* CUresult, nvmlReturn_t */
typedef int hc_device;
typedef uint64_t hc_devptr;
typedef uint64_t hc_handle; /* CUmemGenericAllocationHandle */
typedef void *hc_ctx, *hc_stream, *hc_pool, *hc_nvml_device;

enum {
    HC_CUDA_SUCCESS = 0,
    HC_CUDA_INVALID_VALUE = 1,
    HC_CUDA_OUT_OF_MEMORY = 2,
    HC_CUDA_INVALID_DEVICE = 101,
    HC_CUDA_NOT_PERMITTED = 800,
    HC_CUDA_NOT_SUPPORTED = 801,

    HC_NVML_SUCCESS = 0,
    HC_NVML_NO_PERMISSION = 4,
    HC_NVML_FUNCTION_NOT_FOUND = 13,
};

enum { HC_LOCATION_DEVICE = 1 };
enum { HC_POOL_RESERVED_CURRENT = 5 };
enum { HC_PROC_LEGACY_STREAM = 1, HC_PROC_PER_THREAD_STREAM = 2 };

struct hc_mem_location {
    int type;
    int id;
};

struct hc_mem_prop {
    int type;
    int handle_types;
    struct hc_mem_location location;
    void *win32_metadata;
    unsigned char flags[8];
};

struct hc_nvml_memory {
    unsigned long long total, free, used;
};

struct hc_nvml_memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

static_assert(sizeof(struct hc_mem_prop) == 32, "CUmemAllocationProp");
static_assert(offsetof(struct hc_mem_prop, location) == 8, "CUmemAllocationProp");
static_assert(sizeof(struct hc_nvml_memory) == 24, "nvmlMemory_t");
static_assert(sizeof(struct hc_nvml_memory_v2) == 40, "nvmlMemory_v2_t");
static_assert(offsetof(struct hc_nvml_memory_v2, total) == 8, "nvmlMemory_v2_t");

#endif
