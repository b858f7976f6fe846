/* What memory costs, and when it comes back, in one process. */
#include "check.h"

#include <string.h>

#define CONTEXT (300 * MIB)

static CUdeviceptr alloc(size_t bytes)
{
    CUdeviceptr p = 0;

    CHECK_EQ(api.cuMemAlloc_v2(&p, bytes), CUDA_SUCCESS);
    return p;
}

static void rounding(void)
{
    static const struct {
        size_t size;
        uint64_t cost;
    } rows[] = {
        {1, 2 * MIB},
        {512, 2 * MIB},
        {MIB, 2 * MIB},
        {MIB + 1, 2 * MIB},
        {2 * MIB, 2 * MIB},
        {2 * MIB + 1, 4 * MIB},
        {2500 * MIB, 2500 * MIB},
        {3 * MIB - 1, 4 * MIB},
    };

    use_device(0);
    CHECK_EQ(used_now(), CONTEXT);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CUdeviceptr p = alloc(rows[i].size);
        CHECK_EQ(used_now(), CONTEXT + rows[i].cost);
        CHECK_EQ(api.cuMemFree_v2(p), CUDA_SUCCESS);
        CHECK_EQ(used_now(), CONTEXT);
    }
}

static void slabs(void)
{
    CUdeviceptr p[33];

    use_device(0);
    for (int i = 0; i < 32; i++)
        p[i] = alloc(64 << 10);
    CHECK_EQ(used_now(), CONTEXT + 2 * MIB);
    p[32] = alloc(64 << 10);
    CHECK_EQ(used_now(), CONTEXT + 4 * MIB);
    for (int i = 0; i < 33; i++) {
        for (int j = 0; j < i; j++)
            CHECK(p[i] >= p[j] + (64 << 10) || p[j] >= p[i] + (64 << 10));
    }
    for (int i = 0; i < 33; i++)
        CHECK_EQ(api.cuMemFree_v2(p[i]), CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT);
}

static void every_size_has_its_own_bytes(void)
{
    enum { N = 4000 };
    static CUdeviceptr p[N];
    static size_t size[N];
    unsigned seed = 7;

    use_device(0);
    for (int round = 0; round < 5 * N; round++) {
        int i = rand_r(&seed) % N;
        uint32_t mark = (uint32_t)i, got = 0;

        if (p[i] != 0) {
            CHECK_EQ(api.cuMemcpyDtoH_v2(&got, p[i] + size[i] - 4, 4), CUDA_SUCCESS);
            CHECK_EQ(got, mark);
            CHECK_EQ(api.cuMemFree_v2(p[i]), CUDA_SUCCESS);
            p[i] = 0;
            continue;
        }
        size[i] = 4 + (size_t)rand_r(&seed) % (i % 10 == 0 ? 6 * MIB : 40000);
        p[i] = alloc(size[i]);
        CHECK_EQ(p[i] % 512, 0);
        CHECK_EQ(api.cuMemcpyHtoD_v2(p[i] + size[i] - 4, &mark, 4), CUDA_SUCCESS);
    }
    for (int i = 0; i < N; i++)
        CHECK(p[i] == 0 || api.cuMemFree_v2(p[i]) == CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT);
}

static void bad_frees(void)
{
    int host;

    use_device(0);
    CUdeviceptr small = alloc(1000), big = alloc(8 * MIB);
    CHECK_EQ(api.cuMemFree_v2((uintptr_t)&host), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemFree_v2(12345), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemFree_v2(small + 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemFree_v2(big + 2 * MIB), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemFree_v2(small), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemFree_v2(small), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemFree_v2(big), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemFree_v2(big), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(used_now(), CONTEXT);
}

static void out_of_memory(void)
{
    CUdeviceptr p, q;

    use_device(0);
    CHECK_EQ(api.cuMemAlloc_v2(&p, 0), CUDA_ERROR_INVALID_VALUE);
    p = alloc((1024 - 300) * MIB);
    CHECK_EQ(api.cuMemAlloc_v2(&q, 1), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(api.cuMemAlloc_v2(&q, ~0ull), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_EQ(used_now(), 1024 * MIB);
    CHECK_EQ(api.cuMemFree_v2(p), CUDA_SUCCESS);
    alloc(1);
}

static void contexts(void)
{
    CUcontext c;
    unsigned flags;
    int active;

    use_device(0);
    use_device(0);
    CHECK_EQ(used_now(), CONTEXT);
    alloc(10 * MIB);
    CHECK_EQ(api.cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT + 10 * MIB);
    CHECK_EQ(api.cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemGetInfo_v2(&(size_t){0}, &(size_t){0}), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    CHECK_EQ(api.cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
    CHECK_EQ(active, 0);
    use_device(0);
    CHECK_EQ(used_now(), CONTEXT);
    CHECK_EQ(api.cuCtxCreate_v2(&c, 0, 0), CUDA_SUCCESS);
    alloc(5 * MIB);
    alloc(100);
    CHECK_EQ(used_now(), CONTEXT + 8 * MIB);
    CHECK_EQ(api.cuCtxDestroy_v2(c), CUDA_SUCCESS);
    CHECK_EQ(api.cuCtxDestroy_v2(c), CUDA_ERROR_INVALID_CONTEXT);
    CHECK_EQ(used_now(), CONTEXT);
}

static void pools(void)
{
    CUmemoryPool pool;
    CUdeviceptr p, q;
    uint64_t reserved, used, threshold = 64 * MIB;

    use_device(0);
    CHECK_EQ(api.cuDeviceGetDefaultMemPool(&pool, 0), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemAllocAsync(&p, 5 * MIB, NULL), CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT + 6 * MIB);
    CHECK_EQ(api.cuMemFreeAsync(p, NULL), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved), 0);
    CHECK_EQ(api.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used), 0);
    CHECK_EQ(reserved, 6 * MIB);
    CHECK_EQ(used, 0);
    CHECK_EQ(api.cuMemAllocAsync(&q, 2 * MIB, NULL), CUDA_SUCCESS); /* from what is kept */
    CHECK_EQ(used_now(), CONTEXT + 6 * MIB);
    CHECK_EQ(api.cuStreamSynchronize(NULL), CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT + 2 * MIB);
    CHECK_EQ(api.cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold), 0);
    CHECK_EQ(api.cuMemFreeAsync(q, NULL), CUDA_SUCCESS);
    CHECK_EQ(api.cuCtxSynchronize(), CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT + 2 * MIB);
    CHECK_EQ(api.cuMemPoolTrimTo(pool, 0), CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT);
    CHECK_EQ(api.cuMemAllocAsync(&p, 100, NULL), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemFree_v2(p), CUDA_SUCCESS); /* the classic call frees pool memory, too */
}

static void vmm(void)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    CUmemAccessDesc rw = {.location = prop.location, .flags = 3};
    CUmemGenericAllocationHandle h, again;
    CUdeviceptr va;
    char text[6] = "";

    use_device(0);
    CHECK_EQ(api.cuMemCreate(&h, MIB, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemCreate(&h, 10 * MIB, &prop, 0), CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT + 10 * MIB);
    CHECK_EQ(api.cuMemAddressReserve(&va, 20 * MIB, 0, 0, 0), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemMap(va + 2 * MIB, 10 * MIB, 0, h, 0), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemMap(va, 10 * MIB, 0, h, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemSetAccess(va + 2 * MIB, 10 * MIB, &rw, 1), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemSetAccess(va, 20 * MIB, &rw, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemcpyHtoD_v2(va + 3 * MIB, "hello", 6), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemcpyDtoH_v2(text, va + 3 * MIB, 6), CUDA_SUCCESS);
    CHECK_EQ(strcmp(text, "hello"), 0);
    CHECK_EQ(api.cuMemRelease(h), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemRelease(h), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(used_now(), CONTEXT + 10 * MIB); /* the mapping keeps it */
    CHECK_EQ(api.cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)(va + 2 * MIB)), 0);
    CHECK_EQ(api.cuMemAddressFree(va, 20 * MIB), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemUnmap(va + 2 * MIB, 8 * MIB), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemUnmap(va + 2 * MIB, 10 * MIB), CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT + 10 * MIB); /* the retained handle keeps it */
    CHECK_EQ(api.cuMemRelease(again), CUDA_SUCCESS);
    CHECK_EQ(used_now(), CONTEXT);
    CHECK_EQ(api.cuMemAddressFree(va, 20 * MIB), CUDA_SUCCESS);
}

static void content(void)
{
    CUdeviceptr p, managed, base;
    size_t size, pitch;
    char text[16] = "";
    unsigned kind;
    int ordinal;

    use_device(1);
    p = alloc(100);
    CHECK_EQ(api.cuMemcpyHtoD_v2(p, "twelve bytes", 13), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemcpyDtoD_v2(p + 50, p, 13), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemcpyDtoH_v2(text, p + 50, 13), CUDA_SUCCESS);
    CHECK_EQ(strcmp(text, "twelve bytes"), 0);
    CHECK_EQ(api.cuMemcpyHtoD_v2(p + 90, text, 13), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemAllocManaged(&managed, 3 * MIB, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemsetD8_v2(managed, 7, 3 * MIB), CUDA_SUCCESS);
    CHECK_EQ(((char *)(uintptr_t)managed)[3 * MIB - 1], 7);
    CHECK_EQ(api.cuPointerGetAttribute(&kind, CU_POINTER_ATTRIBUTE_IS_MANAGED, managed), 0);
    CHECK_EQ(kind, 1);
    CHECK_EQ(api.cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, p + 9), 0);
    CHECK_EQ(ordinal, 1);
    CHECK_EQ(api.cuPointerGetAttribute(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (uintptr_t)text),
             CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuMemAllocPitch_v2(&p, &pitch, 1000, 10, 4), CUDA_SUCCESS);
    CHECK_EQ(pitch, 1024);
    CHECK_EQ(api.cuMemGetAddressRange_v2(&base, &size, p + 77), CUDA_SUCCESS);
    CHECK_EQ(base, p);
    CHECK_EQ(size, 10240);
    CHECK_EQ(api.cuMemAllocPitch_v2(&p, &pitch, 1000, 10, 0), CUDA_ERROR_INVALID_VALUE);
}

const struct test memory_tests[] = {
    {"memory is charged in 2 MiB pages above 1 MiB", "", rounding},
    {"small allocations share 2 MiB pages", "", slabs},
    {"random sizes never overlap and all come back", "", every_size_has_its_own_bytes},
    {"freeing what was not allocated is refused", "", bad_frees},
    {"a full card refuses more and nothing is lost", "--memory-mib 1024", out_of_memory},
    {"a context costs 300 MiB once per card and takes its memory with it", "", contexts},
    {"a pool keeps freed memory until synchronised or trimmed", "", pools},
    {"created memory lives until its last handle and mapping", "", vmm},
    {"copies, fills, managed memory and pointer questions", "", content},
    {NULL, NULL, NULL},
};
