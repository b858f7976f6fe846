/* A test is a function of the tables in the test files; a failed check names itself and ends its
 * test's process. Every test runs in a process of its own, on hardware of its own. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "../cuda/types.h"
#include "../nvml/types.h"

#define CHECK(condition) check((condition) != 0, #condition, __FILE__, __LINE__, 0, 0)
#define CHECK_EQ(got, want) check_eq((long long)(got), (long long)(want), #got, __FILE__, __LINE__)

void check(int ok, const char *text, const char *file, int line, long long got, long long want);
void check_eq(long long got, long long want, const char *text, const char *file, int line);

struct test {
    const char *behaviour;
    const char *init; /* arguments of fakegpu-ctl init, besides the configuration file */
    void (*run)(void);
};

extern const struct test memory_tests[];
extern const struct test process_tests[];
extern const struct test driver_tests[];
extern const struct test nvml_tests[];

#define MIB (1ull << 20)

/* The driver functions that tests call, found in libcuda.so.1 by dlsym. */
#define TEST_CUDA(X)                                                                               \
    X(cuInit, (unsigned))                                                                          \
    X(cuDriverGetVersion, (int *))                                                                 \
    X(cuDeviceGetCount, (int *))                                                                   \
    X(cuDeviceGetUuid_v2, (CUuuid *, CUdevice))                                                    \
    X(cuDeviceGetAttribute, (int *, int, CUdevice))                                                \
    X(cuDeviceTotalMem_v2, (size_t *, CUdevice))                                                   \
    X(cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))                                           \
    X(cuDevicePrimaryCtxRelease_v2, (CUdevice))                                                    \
    X(cuDevicePrimaryCtxGetState, (CUdevice, unsigned *, int *))                                   \
    X(cuCtxCreate_v2, (CUcontext *, unsigned, CUdevice))                                           \
    X(cuCtxDestroy_v2, (CUcontext))                                                                \
    X(cuCtxSetCurrent, (CUcontext))                                                                \
    X(cuCtxGetCurrent, (CUcontext *))                                                              \
    X(cuCtxGetDevice, (CUdevice *))                                                                \
    X(cuCtxSynchronize, (void))                                                                    \
    X(cuMemGetInfo_v2, (size_t *, size_t *))                                                       \
    X(cuMemAlloc_v2, (CUdeviceptr *, size_t))                                                      \
    X(cuMemFree_v2, (CUdeviceptr))                                                                 \
    X(cuMemAllocPitch_v2, (CUdeviceptr *, size_t *, size_t, size_t, unsigned))                     \
    X(cuMemAllocManaged, (CUdeviceptr *, size_t, unsigned))                                        \
    X(cuMemGetAddressRange_v2, (CUdeviceptr *, size_t *, CUdeviceptr))                             \
    X(cuPointerGetAttribute, (void *, int, CUdeviceptr))                                           \
    X(cuMemcpyHtoD_v2, (CUdeviceptr, const void *, size_t))                                        \
    X(cuMemcpyDtoH_v2, (void *, CUdeviceptr, size_t))                                              \
    X(cuMemcpyDtoD_v2, (CUdeviceptr, CUdeviceptr, size_t))                                         \
    X(cuMemsetD8_v2, (CUdeviceptr, unsigned char, size_t))                                         \
    X(cuMemCreate,                                                                                 \
      (CUmemGenericAllocationHandle *, size_t, const CUmemAllocationProp *, unsigned long long))   \
    X(cuMemRelease, (CUmemGenericAllocationHandle))                                                \
    X(cuMemRetainAllocationHandle, (CUmemGenericAllocationHandle *, void *))                       \
    X(cuMemAddressReserve, (CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long))       \
    X(cuMemAddressFree, (CUdeviceptr, size_t))                                                     \
    X(cuMemMap, (CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long))   \
    X(cuMemUnmap, (CUdeviceptr, size_t))                                                           \
    X(cuMemSetAccess, (CUdeviceptr, size_t, const CUmemAccessDesc *, size_t))                      \
    X(cuMemAllocAsync, (CUdeviceptr *, size_t, CUstream))                                          \
    X(cuMemFreeAsync, (CUdeviceptr, CUstream))                                                     \
    X(cuStreamSynchronize, (CUstream))                                                             \
    X(cuDeviceGetDefaultMemPool, (CUmemoryPool *, CUdevice))                                       \
    X(cuMemPoolTrimTo, (CUmemoryPool, size_t))                                                     \
    X(cuMemPoolGetAttribute, (CUmemoryPool, int, void *))                                          \
    X(cuMemPoolSetAttribute, (CUmemoryPool, int, void *))                                          \
    X(cuGetErrorName, (CUresult, const char **))                                                   \
    X(cuGetProcAddress, (const char *, void **, int, uint64_t))                                    \
    X(cuGetProcAddress_v2, (const char *, void **, int, uint64_t, CUdriverProcAddressQueryResult *))

#define TEST_NVML(X)                                                                               \
    X(nvmlInit_v2, (void))                                                                         \
    X(nvmlShutdown, (void))                                                                        \
    X(nvmlDeviceGetCount_v2, (unsigned *))                                                         \
    X(nvmlDeviceGetHandleByIndex_v2, (unsigned, nvmlDevice_t *))                                   \
    X(nvmlDeviceGetMemoryInfo, (nvmlDevice_t, nvmlMemory_t *))                                     \
    X(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t, nvmlMemory_v2_t *))                               \
    X(nvmlDeviceGetComputeRunningProcesses, (nvmlDevice_t, unsigned *, nvmlProcessInfo_v1_t *))    \
    X(nvmlDeviceGetComputeRunningProcesses_v3, (nvmlDevice_t, unsigned *, nvmlProcessInfo_t *))    \
    X(nvmlDeviceRegisterEvents, (nvmlDevice_t, unsigned long long, nvmlEventSet_t))                \
    X(nvmlEventSetCreate, (nvmlEventSet_t *))                                                      \
    X(nvmlEventSetFree, (nvmlEventSet_t))                                                          \
    X(nvmlEventSetWait_v2, (nvmlEventSet_t, nvmlEventData_t *, unsigned))

#define FIELD(name, parameters) int(*name) parameters;
struct test_api {
    TEST_CUDA(FIELD)
    TEST_NVML(FIELD)
};
#undef FIELD
extern struct test_api api;
extern void *cuda_library;

/* cuInit, and the primary context of the device made current. */
void use_device(int ordinal);
/* Memory in use on the current device, as cuMemGetInfo says. */
uint64_t used_now(void);
/* Waits, at most a few seconds, until that many bytes are in use. */
void wait_used(uint64_t bytes);

/* A child that runs the function, tells when it is done with it, and then waits to be killed. */
pid_t child_start(void (*run)(void));
void child_kill(pid_t pid);
/* The exit status of a child that runs the function. */
int child_run(int (*run)(void));

/* Runs fakegpu-ctl on the test's hardware. */
void ctl(const char *arguments);

#endif
