/* Prototypes of the exported functions, as the driver has them. */
#ifndef FC_API_H
#define FC_API_H

#include "types.h"

#define FC_API __attribute__((visibility("default")))

FC_API CUresult cuInit(unsigned flags);
FC_API CUresult cuDriverGetVersion(int *version);
FC_API CUresult cuGetErrorName(CUresult error, const char **text);
FC_API CUresult cuGetErrorString(CUresult error, const char **text);
FC_API CUresult cuGetExportTable(const void **table, const CUuuid *id);
FC_API CUresult cuGetProcAddress(const char *symbol, void **fn, int version, uint64_t flags);
FC_API CUresult cuGetProcAddress_ptsz(const char *symbol, void **fn, int version, uint64_t flags);
FC_API CUresult cuGetProcAddress_v2(const char *symbol, void **fn, int version, uint64_t flags,
                                    CUdriverProcAddressQueryResult *status);
FC_API CUresult cuGetProcAddress_v2_ptsz(const char *symbol, void **fn, int version, uint64_t flags,
                                         CUdriverProcAddressQueryResult *status);

FC_API CUresult cuDeviceGet(CUdevice *device, int ordinal);
FC_API CUresult cuDeviceGetCount(int *count);
FC_API CUresult cuDeviceGetName(char *name, int len, CUdevice device);
FC_API CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device);
FC_API CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device);
FC_API CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device);
FC_API CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device);
FC_API CUresult cuDeviceGetPCIBusId(char *id, int len, CUdevice device);
FC_API CUresult cuDeviceGetByPCIBusId(CUdevice *device, const char *id);
FC_API CUresult cuDeviceTotalMem(unsigned *bytes, CUdevice device);
FC_API CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device);

FC_API CUresult cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice device);
FC_API CUresult cuDevicePrimaryCtxRelease(CUdevice device);
FC_API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device);
FC_API CUresult cuDevicePrimaryCtxReset(CUdevice device);
FC_API CUresult cuDevicePrimaryCtxReset_v2(CUdevice device);
FC_API CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned flags);
FC_API CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags);
FC_API CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active);
FC_API CUresult cuCtxCreate(CUcontext *ctx, unsigned flags, CUdevice device);
FC_API CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned flags, CUdevice device);
FC_API CUresult cuCtxCreate_v3(CUcontext *ctx, void *affinity, int count, unsigned flags,
                               CUdevice device);
FC_API CUresult cuCtxCreate_v4(CUcontext *ctx, void *params, unsigned flags, CUdevice device);
FC_API CUresult cuCtxDestroy(CUcontext ctx);
FC_API CUresult cuCtxDestroy_v2(CUcontext ctx);
FC_API CUresult cuCtxPushCurrent(CUcontext ctx);
FC_API CUresult cuCtxPushCurrent_v2(CUcontext ctx);
FC_API CUresult cuCtxPopCurrent(CUcontext *ctx);
FC_API CUresult cuCtxPopCurrent_v2(CUcontext *ctx);
FC_API CUresult cuCtxSetCurrent(CUcontext ctx);
FC_API CUresult cuCtxGetCurrent(CUcontext *ctx);
FC_API CUresult cuCtxGetDevice(CUdevice *device);
FC_API CUresult cuCtxGetFlags(unsigned *flags);
FC_API CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned *version);
FC_API CUresult cuCtxSynchronize(void);

FC_API CUresult cuMemGetInfo(unsigned *free_bytes, unsigned *total);
FC_API CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total);
FC_API CUresult cuMemAlloc(unsigned *p, unsigned bytes);
FC_API CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t bytes);
FC_API CUresult cuMemFree(unsigned p);
FC_API CUresult cuMemFree_v2(CUdeviceptr p);
FC_API CUresult cuMemAllocPitch(unsigned *p, unsigned *pitch, unsigned width, unsigned height,
                                unsigned element);
FC_API CUresult cuMemAllocPitch_v2(CUdeviceptr *p, size_t *pitch, size_t width, size_t height,
                                   unsigned element);
FC_API CUresult cuMemAllocManaged(CUdeviceptr *p, size_t bytes, unsigned flags);
FC_API CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr p);
FC_API CUresult cuPointerGetAttribute(void *data, int attribute, CUdeviceptr p);
FC_API CUresult cuPointerGetAttributes(unsigned count, int *attributes, void **data, CUdeviceptr p);

FC_API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes);
FC_API CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr to, const void *from, size_t bytes);
FC_API CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes);
FC_API CUresult cuMemcpyDtoH_v2_ptds(void *to, CUdeviceptr from, size_t bytes);
FC_API CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes);
FC_API CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr to, CUdeviceptr from, size_t bytes);
FC_API CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes);
FC_API CUresult cuMemsetD8_v2_ptds(CUdeviceptr to, unsigned char value, size_t bytes);

FC_API CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                            const CUmemAllocationProp *prop, unsigned long long flags);
FC_API CUresult cuMemRelease(CUmemGenericAllocationHandle handle);
FC_API CUresult cuMemAddressReserve(CUdeviceptr *p, size_t size, size_t alignment, CUdeviceptr hint,
                                    unsigned long long flags);
FC_API CUresult cuMemAddressFree(CUdeviceptr p, size_t size);
FC_API CUresult cuMemMap(CUdeviceptr p, size_t size, size_t offset,
                         CUmemGenericAllocationHandle handle, unsigned long long flags);
FC_API CUresult cuMemUnmap(CUdeviceptr p, size_t size);
FC_API CUresult cuMemSetAccess(CUdeviceptr p, size_t size, const CUmemAccessDesc *desc,
                               size_t count);
FC_API CUresult cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location,
                               CUdeviceptr p);
FC_API CUresult cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
                                              int option);
FC_API CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
                                                       CUmemGenericAllocationHandle handle);
FC_API CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr);

FC_API CUresult cuMemAllocAsync(CUdeviceptr *p, size_t bytes, CUstream stream);
FC_API CUresult cuMemAllocAsync_ptsz(CUdeviceptr *p, size_t bytes, CUstream stream);
FC_API CUresult cuMemFreeAsync(CUdeviceptr p, CUstream stream);
FC_API CUresult cuMemFreeAsync_ptsz(CUdeviceptr p, CUstream stream);
FC_API CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device);
FC_API CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice device);
FC_API CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t keep);
FC_API CUresult cuMemPoolGetAttribute(CUmemoryPool pool, int attribute, void *value);
FC_API CUresult cuMemPoolSetAttribute(CUmemoryPool pool, int attribute, void *value);
FC_API CUresult cuStreamCreate(CUstream *stream, unsigned flags);
FC_API CUresult cuStreamDestroy(CUstream stream);
FC_API CUresult cuStreamDestroy_v2(CUstream stream);
FC_API CUresult cuStreamGetCtx(CUstream stream, CUcontext *ctx);
FC_API CUresult cuStreamGetCtx_ptsz(CUstream stream, CUcontext *ctx);
FC_API CUresult cuStreamSynchronize(CUstream stream);
FC_API CUresult cuStreamSynchronize_ptsz(CUstream stream);

#endif
