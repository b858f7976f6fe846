/*
 * Every symbol of the fake libcuda: one row each. Exports (the linker's version script is made from
 * this list), cuGetProcAddress and the prototypes' check all come from here.
 *
 *   ROW(name, symbol, since, until, stream)
 *
 * name    what a program asks cuGetProcAddress for
 * symbol  what it gets: the newest one that its CUDA version, and the driver's, know
 * since   first CUDA version with this symbol (11040 is 11.4); until: first one without it, or 0
 * stream  1: the twin for the per-thread default stream
 */
#define FC_API_TABLE(ROW)                                                                          \
    ROW(cuInit, cuInit, 2000, 0, 0)                                                                \
    ROW(cuDriverGetVersion, cuDriverGetVersion, 2020, 0, 0)                                        \
    ROW(cuGetErrorName, cuGetErrorName, 6000, 0, 0)                                                \
    ROW(cuGetErrorString, cuGetErrorString, 6000, 0, 0)                                            \
    ROW(cuGetExportTable, cuGetExportTable, 3000, 0, 0)                                            \
    ROW(cuGetProcAddress, cuGetProcAddress, 11030, 0, 0)                                           \
    ROW(cuGetProcAddress, cuGetProcAddress_ptsz, 11030, 0, 1)                                      \
    ROW(cuGetProcAddress, cuGetProcAddress_v2, 12000, 0, 0)                                        \
    ROW(cuGetProcAddress, cuGetProcAddress_v2_ptsz, 12000, 0, 1)                                   \
    ROW(cuDeviceGet, cuDeviceGet, 2000, 0, 0)                                                      \
    ROW(cuDeviceGetCount, cuDeviceGetCount, 2000, 0, 0)                                            \
    ROW(cuDeviceGetName, cuDeviceGetName, 2000, 0, 0)                                              \
    ROW(cuDeviceGetUuid, cuDeviceGetUuid, 9020, 0, 0)                                              \
    ROW(cuDeviceGetUuid, cuDeviceGetUuid_v2, 11040, 0, 0)                                          \
    ROW(cuDeviceGetAttribute, cuDeviceGetAttribute, 2000, 0, 0)                                    \
    ROW(cuDeviceComputeCapability, cuDeviceComputeCapability, 2000, 0, 0)                          \
    ROW(cuDeviceGetPCIBusId, cuDeviceGetPCIBusId, 4010, 0, 0)                                      \
    ROW(cuDeviceGetByPCIBusId, cuDeviceGetByPCIBusId, 4010, 0, 0)                                  \
    ROW(cuDeviceTotalMem, cuDeviceTotalMem, 2000, 0, 0)                                            \
    ROW(cuDeviceTotalMem, cuDeviceTotalMem_v2, 3020, 0, 0)                                         \
    ROW(cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, 7000, 0, 0)                            \
    ROW(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease, 7000, 0, 0)                          \
    ROW(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, 11000, 0, 0)                      \
    ROW(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset, 7000, 0, 0)                              \
    ROW(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2, 11000, 0, 0)                          \
    ROW(cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags, 7000, 0, 0)                        \
    ROW(cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2, 11000, 0, 0)                    \
    ROW(cuDevicePrimaryCtxGetState, cuDevicePrimaryCtxGetState, 7000, 0, 0)                        \
    ROW(cuCtxCreate, cuCtxCreate, 2000, 0, 0)                                                      \
    ROW(cuCtxCreate, cuCtxCreate_v2, 3020, 0, 0)                                                   \
    ROW(cuCtxCreate, cuCtxCreate_v3, 11040, 0, 0)                                                  \
    ROW(cuCtxCreate, cuCtxCreate_v4, 12050, 0, 0)                                                  \
    ROW(cuCtxDestroy, cuCtxDestroy, 2000, 0, 0)                                                    \
    ROW(cuCtxDestroy, cuCtxDestroy_v2, 4000, 0, 0)                                                 \
    ROW(cuCtxPushCurrent, cuCtxPushCurrent, 2000, 0, 0)                                            \
    ROW(cuCtxPushCurrent, cuCtxPushCurrent_v2, 4000, 0, 0)                                         \
    ROW(cuCtxPopCurrent, cuCtxPopCurrent, 2000, 0, 0)                                              \
    ROW(cuCtxPopCurrent, cuCtxPopCurrent_v2, 4000, 0, 0)                                           \
    ROW(cuCtxSetCurrent, cuCtxSetCurrent, 4000, 0, 0)                                              \
    ROW(cuCtxGetCurrent, cuCtxGetCurrent, 4000, 0, 0)                                              \
    ROW(cuCtxGetDevice, cuCtxGetDevice, 2000, 0, 0)                                                \
    ROW(cuCtxGetFlags, cuCtxGetFlags, 7000, 0, 0)                                                  \
    ROW(cuCtxGetApiVersion, cuCtxGetApiVersion, 3020, 0, 0)                                        \
    ROW(cuCtxSynchronize, cuCtxSynchronize, 2000, 0, 0)                                            \
    ROW(cuMemGetInfo, cuMemGetInfo, 2000, 0, 0)                                                    \
    ROW(cuMemGetInfo, cuMemGetInfo_v2, 3020, 0, 0)                                                 \
    ROW(cuMemAlloc, cuMemAlloc, 2000, 0, 0)                                                        \
    ROW(cuMemAlloc, cuMemAlloc_v2, 3020, 0, 0)                                                     \
    ROW(cuMemFree, cuMemFree, 2000, 0, 0)                                                          \
    ROW(cuMemFree, cuMemFree_v2, 3020, 0, 0)                                                       \
    ROW(cuMemAllocPitch, cuMemAllocPitch, 2000, 0, 0)                                              \
    ROW(cuMemAllocPitch, cuMemAllocPitch_v2, 3020, 0, 0)                                           \
    ROW(cuMemAllocManaged, cuMemAllocManaged, 6000, 0, 0)                                          \
    ROW(cuMemGetAddressRange, cuMemGetAddressRange_v2, 3020, 0, 0)                                 \
    ROW(cuPointerGetAttribute, cuPointerGetAttribute, 4000, 0, 0)                                  \
    ROW(cuPointerGetAttributes, cuPointerGetAttributes, 7000, 0, 0)                                \
    ROW(cuMemcpyHtoD, cuMemcpyHtoD_v2, 3020, 0, 0)                                                 \
    ROW(cuMemcpyHtoD, cuMemcpyHtoD_v2_ptds, 7000, 0, 1)                                            \
    ROW(cuMemcpyDtoH, cuMemcpyDtoH_v2, 3020, 0, 0)                                                 \
    ROW(cuMemcpyDtoH, cuMemcpyDtoH_v2_ptds, 7000, 0, 1)                                            \
    ROW(cuMemcpyDtoD, cuMemcpyDtoD_v2, 3020, 0, 0)                                                 \
    ROW(cuMemcpyDtoD, cuMemcpyDtoD_v2_ptds, 7000, 0, 1)                                            \
    ROW(cuMemsetD8, cuMemsetD8_v2, 3020, 0, 0)                                                     \
    ROW(cuMemsetD8, cuMemsetD8_v2_ptds, 7000, 0, 1)                                                \
    ROW(cuMemCreate, cuMemCreate, 10020, 0, 0)                                                     \
    ROW(cuMemRelease, cuMemRelease, 10020, 0, 0)                                                   \
    ROW(cuMemAddressReserve, cuMemAddressReserve, 10020, 0, 0)                                     \
    ROW(cuMemAddressFree, cuMemAddressFree, 10020, 0, 0)                                           \
    ROW(cuMemMap, cuMemMap, 10020, 0, 0)                                                           \
    ROW(cuMemUnmap, cuMemUnmap, 10020, 0, 0)                                                       \
    ROW(cuMemSetAccess, cuMemSetAccess, 10020, 0, 0)                                               \
    ROW(cuMemGetAccess, cuMemGetAccess, 10020, 0, 0)                                               \
    ROW(cuMemGetAllocationGranularity, cuMemGetAllocationGranularity, 10020, 0, 0)                 \
    ROW(cuMemGetAllocationPropertiesFromHandle, cuMemGetAllocationPropertiesFromHandle, 10020, 0,  \
        0)                                                                                         \
    ROW(cuMemRetainAllocationHandle, cuMemRetainAllocationHandle, 11000, 0, 0)                     \
    ROW(cuMemAllocAsync, cuMemAllocAsync, 11020, 0, 0)                                             \
    ROW(cuMemAllocAsync, cuMemAllocAsync_ptsz, 11020, 0, 1)                                        \
    ROW(cuMemFreeAsync, cuMemFreeAsync, 11020, 0, 0)                                               \
    ROW(cuMemFreeAsync, cuMemFreeAsync_ptsz, 11020, 0, 1)                                          \
    ROW(cuDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, 11020, 0, 0)                         \
    ROW(cuDeviceGetMemPool, cuDeviceGetMemPool, 11020, 0, 0)                                       \
    ROW(cuMemPoolTrimTo, cuMemPoolTrimTo, 11020, 0, 0)                                             \
    ROW(cuMemPoolGetAttribute, cuMemPoolGetAttribute, 11020, 0, 0)                                 \
    ROW(cuMemPoolSetAttribute, cuMemPoolSetAttribute, 11020, 0, 0)                                 \
    ROW(cuStreamCreate, cuStreamCreate, 2000, 0, 0)                                                \
    ROW(cuStreamDestroy, cuStreamDestroy, 2000, 0, 0)                                              \
    ROW(cuStreamDestroy, cuStreamDestroy_v2, 4000, 0, 0)                                           \
    ROW(cuStreamGetCtx, cuStreamGetCtx, 9020, 0, 0)                                                \
    ROW(cuStreamGetCtx, cuStreamGetCtx_ptsz, 9020, 0, 1)                                           \
    ROW(cuStreamSynchronize, cuStreamSynchronize, 2000, 0, 0)                                      \
    ROW(cuStreamSynchronize, cuStreamSynchronize_ptsz, 7000, 0, 1)
