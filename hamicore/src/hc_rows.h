/*
 * Every symbol that we intercept, one row each; prototypes, exports, typed pointers to the driver's
 * own functions and look-up all come from this list.
 *
 *   ROW(library, family, name, since, stream, kind, parameters, arguments)
 *
 * family   the name without version and stream suffix: what cuGetProcAddress is asked for. Rows of
 *          one family stand together.
 * since    first CUDA version with this symbol (11040 is 11.4), from the driver's own typedef names
 * stream   1: the twin for the per-thread default stream
 * kind     ENTRY finds functions; CHARGED takes or returns memory; VIEW answers with the slice
 *
 * HC_USES lists what we call and do not intercept: USE(library, name, parameters, arguments).
 */
#define HC_ROWS(ROW)                                                                               \
    ROW(CUDA, cuInit, cuInit, 2000, 0, ENTRY, (unsigned flags), (flags))                           \
    ROW(CUDA, cuGetProcAddress, cuGetProcAddress, 11030, 0, ENTRY,                                 \
        (const char *symbol, void **fn, int version, uint64_t flags),                              \
        (symbol, fn, version, flags))                                                              \
    ROW(CUDA, cuGetProcAddress, cuGetProcAddress_ptsz, 11030, 1, ENTRY,                            \
        (const char *symbol, void **fn, int version, uint64_t flags),                              \
        (symbol, fn, version, flags))                                                              \
    ROW(CUDA, cuGetProcAddress, cuGetProcAddress_v2, 12000, 0, ENTRY,                              \
        (const char *symbol, void **fn, int version, uint64_t flags, int *status),                 \
        (symbol, fn, version, flags, status))                                                      \
    ROW(CUDA, cuGetProcAddress, cuGetProcAddress_v2_ptsz, 12000, 1, ENTRY,                         \
        (const char *symbol, void **fn, int version, uint64_t flags, int *status),                 \
        (symbol, fn, version, flags, status))                                                      \
    ROW(CUDA, cuDeviceTotalMem, cuDeviceTotalMem, 2000, 0, VIEW,                                   \
        (unsigned *bytes, hc_device device), (bytes, device))                                      \
    ROW(CUDA, cuDeviceTotalMem, cuDeviceTotalMem_v2, 3020, 0, VIEW,                                \
        (size_t * bytes, hc_device device), (bytes, device))                                       \
    ROW(CUDA, cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, 7000, 0, CHARGED,                \
        (hc_ctx * ctx, hc_device device), (ctx, device))                                           \
    ROW(CUDA, cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease, 7000, 0, CHARGED,              \
        (hc_device device), (device))                                                              \
    ROW(CUDA, cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, 11000, 0, CHARGED,          \
        (hc_device device), (device))                                                              \
    ROW(CUDA, cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset, 7000, 0, CHARGED,                  \
        (hc_device device), (device))                                                              \
    ROW(CUDA, cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2, 11000, 0, CHARGED,              \
        (hc_device device), (device))                                                              \
    ROW(CUDA, cuCtxCreate, cuCtxCreate, 2000, 0, CHARGED,                                          \
        (hc_ctx * ctx, unsigned flags, hc_device device), (ctx, flags, device))                    \
    ROW(CUDA, cuCtxCreate, cuCtxCreate_v2, 3020, 0, CHARGED,                                       \
        (hc_ctx * ctx, unsigned flags, hc_device device), (ctx, flags, device))                    \
    ROW(CUDA, cuCtxCreate, cuCtxCreate_v3, 11040, 0, CHARGED,                                      \
        (hc_ctx * ctx, void *affinity, int count, unsigned flags, hc_device device),               \
        (ctx, affinity, count, flags, device))                                                     \
    ROW(CUDA, cuCtxCreate, cuCtxCreate_v4, 12050, 0, CHARGED,                                      \
        (hc_ctx * ctx, void *settings, unsigned flags, hc_device device),                          \
        (ctx, settings, flags, device))                                                            \
    ROW(CUDA, cuCtxDestroy, cuCtxDestroy, 2000, 0, CHARGED, (hc_ctx ctx), (ctx))                   \
    ROW(CUDA, cuCtxDestroy, cuCtxDestroy_v2, 4000, 0, CHARGED, (hc_ctx ctx), (ctx))                \
    ROW(CUDA, cuMemGetInfo, cuMemGetInfo, 2000, 0, VIEW, (unsigned *free_bytes, unsigned *total),  \
        (free_bytes, total))                                                                       \
    ROW(CUDA, cuMemGetInfo, cuMemGetInfo_v2, 3020, 0, VIEW, (size_t * free_bytes, size_t * total), \
        (free_bytes, total))                                                                       \
    ROW(CUDA, cuMemAlloc, cuMemAlloc, 2000, 0, CHARGED, (unsigned *ptr, unsigned bytes),           \
        (ptr, bytes))                                                                              \
    ROW(CUDA, cuMemAlloc, cuMemAlloc_v2, 3020, 0, CHARGED, (hc_devptr * ptr, size_t bytes),        \
        (ptr, bytes))                                                                              \
    ROW(CUDA, cuMemFree, cuMemFree, 2000, 0, CHARGED, (unsigned ptr), (ptr))                       \
    ROW(CUDA, cuMemFree, cuMemFree_v2, 3020, 0, CHARGED, (hc_devptr ptr), (ptr))                   \
    ROW(CUDA, cuMemAllocPitch, cuMemAllocPitch, 2000, 0, CHARGED,                                  \
        (unsigned *ptr, unsigned *pitch, unsigned width, unsigned height, unsigned element),       \
        (ptr, pitch, width, height, element))                                                      \
    ROW(CUDA, cuMemAllocPitch, cuMemAllocPitch_v2, 3020, 0, CHARGED,                               \
        (hc_devptr * ptr, size_t * pitch, size_t width, size_t height, unsigned element),          \
        (ptr, pitch, width, height, element))                                                      \
    ROW(CUDA, cuMemAllocManaged, cuMemAllocManaged, 6000, 0, CHARGED,                              \
        (hc_devptr * ptr, size_t bytes, unsigned flags), (ptr, bytes, flags))                      \
    ROW(CUDA, cuMemCreate, cuMemCreate, 10020, 0, CHARGED,                                         \
        (hc_handle * handle, size_t size, const struct hc_mem_prop *prop,                          \
         unsigned long long flags),                                                                \
        (handle, size, prop, flags))                                                               \
    ROW(CUDA, cuMemRelease, cuMemRelease, 10020, 0, CHARGED, (hc_handle handle), (handle))         \
    ROW(CUDA, cuMemMap, cuMemMap, 10020, 0, CHARGED,                                               \
        (hc_devptr ptr, size_t size, size_t offset, hc_handle handle, unsigned long long flags),   \
        (ptr, size, offset, handle, flags))                                                        \
    ROW(CUDA, cuMemUnmap, cuMemUnmap, 10020, 0, CHARGED, (hc_devptr ptr, size_t size),             \
        (ptr, size))                                                                               \
    ROW(CUDA, cuMemRetainAllocationHandle, cuMemRetainAllocationHandle, 11000, 0, CHARGED,         \
        (hc_handle * handle, void *addr), (handle, addr))                                          \
    ROW(CUDA, cuMemAllocAsync, cuMemAllocAsync, 11020, 0, CHARGED,                                 \
        (hc_devptr * ptr, size_t bytes, hc_stream stream), (ptr, bytes, stream))                   \
    ROW(CUDA, cuMemAllocAsync, cuMemAllocAsync_ptsz, 11020, 1, CHARGED,                            \
        (hc_devptr * ptr, size_t bytes, hc_stream stream), (ptr, bytes, stream))                   \
    ROW(CUDA, cuMemFreeAsync, cuMemFreeAsync, 11020, 0, CHARGED,                                   \
        (hc_devptr ptr, hc_stream stream), (ptr, stream))                                          \
    ROW(CUDA, cuMemFreeAsync, cuMemFreeAsync_ptsz, 11020, 1, CHARGED,                              \
        (hc_devptr ptr, hc_stream stream), (ptr, stream))                                          \
    ROW(CUDA, cuStreamSynchronize, cuStreamSynchronize, 2000, 0, CHARGED, (hc_stream stream),      \
        (stream))                                                                                  \
    ROW(CUDA, cuStreamSynchronize, cuStreamSynchronize_ptsz, 7000, 1, CHARGED, (hc_stream stream), \
        (stream))                                                                                  \
    ROW(CUDA, cuCtxSynchronize, cuCtxSynchronize, 2000, 0, CHARGED, (void), ())                    \
    ROW(NVML, nvmlDeviceGetMemoryInfo, nvmlDeviceGetMemoryInfo, 0, 0, VIEW,                        \
        (hc_nvml_device device, struct hc_nvml_memory * memory), (device, memory))                 \
    ROW(NVML, nvmlDeviceGetMemoryInfo, nvmlDeviceGetMemoryInfo_v2, 0, 0, VIEW,                     \
        (hc_nvml_device device, struct hc_nvml_memory_v2 * memory), (device, memory))

#define HC_USES(USE)                                                                               \
    USE(CUDA, cuCtxGetCurrent, (hc_ctx * ctx), (ctx))                                              \
    USE(CUDA, cuCtxGetDevice, (hc_device * device), (device))                                      \
    USE(CUDA, cuDeviceGetUuid, (struct hc_uuid * uuid, hc_device device), (uuid, device))          \
    USE(CUDA, cuDeviceGetUuid_v2, (struct hc_uuid * uuid, hc_device device), (uuid, device))       \
    USE(CUDA, cuDevicePrimaryCtxGetState, (hc_device device, unsigned *flags, int *active),        \
        (device, flags, active))                                                                   \
    USE(CUDA, cuStreamGetCtx, (hc_stream stream, hc_ctx * ctx), (stream, ctx))                     \
    USE(CUDA, cuDeviceGetMemPool, (hc_pool * pool, hc_device device), (pool, device))              \
    USE(CUDA, cuMemPoolGetAttribute, (hc_pool pool, int attribute, void *value),                   \
        (pool, attribute, value))                                                                  \
    USE(CUDA, cuMemPoolTrimTo, (hc_pool pool, size_t keep), (pool, keep))                          \
    USE(NVML, nvmlDeviceGetUUID, (hc_nvml_device device, char *uuid, unsigned length),             \
        (device, uuid, length))
