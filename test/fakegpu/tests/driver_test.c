/* What programs find: devices, names by version, errors of a broken card. */
#include "check.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

static void visible(const char *list, int want, unsigned char want_last_of_first)
{
    int count = 0;
    CUuuid uuid;

    setenv("CUDA_VISIBLE_DEVICES", list, 1);
    CHECK_EQ(api.cuInit(0), want == 0 ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS);
    if (want == 0)
        return;
    CHECK_EQ(api.cuDeviceGetCount(&count), CUDA_SUCCESS);
    CHECK_EQ(count, want);
    CHECK_EQ(api.cuDeviceGetUuid_v2(&uuid, 0), CUDA_SUCCESS);
    CHECK_EQ((unsigned char)uuid.bytes[0], 0xba);
    CHECK_EQ((unsigned char)uuid.bytes[15], want_last_of_first);
}

static const struct {
    const char *list;
    int want;
    unsigned char first;
} lists[] = {
    {"", 0, 0},
    {"3,1", 2, 3},
    {"1,9,2", 1, 1},
    {"-1", 0, 0},
    {"2,2", 1, 2},
    {" 4 , 5", 2, 4},
    {"GPU-ba5a1700-0000-4000-8000-000000000006", 1, 6},
    {"GPU-ba5a1700-0000-4000-8000-000000000007,0", 2, 7},
    {"GPU-ba5a", 0, 0}, /* not one card's alone */
    {"MIG-x", 0, 0},
    {"1x", 0, 0},
};

static size_t list_at;

static int try_list(void)
{
    visible(lists[list_at].list, lists[list_at].want, lists[list_at].first);
    return 0;
}

static void visible_devices(void)
{
    for (list_at = 0; list_at < sizeof(lists) / sizeof(lists[0]); list_at++)
        CHECK_EQ(child_run(try_list), 0);
}

static void no_driver_state(void)
{
    int version = -1;

    setenv("FAKEGPU_STATE", "/nonexistent/state", 1);
    CHECK_EQ(api.cuInit(0), CUDA_ERROR_NO_DEVICE);
    CHECK_EQ(api.cuDriverGetVersion(&version), CUDA_SUCCESS);
    CHECK_EQ(version, 0);
    CHECK_EQ(api.nvmlInit_v2(), NVML_ERROR_DRIVER_NOT_LOADED);
}

static void not_initialised(void)
{
    CUdeviceptr p;
    CUcontext c;

    CHECK_EQ(api.cuMemAlloc_v2(&p, 1), CUDA_ERROR_NOT_INITIALIZED);
    CHECK_EQ(api.cuInit(1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuInit(0), CUDA_SUCCESS);
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1), CUDA_ERROR_INVALID_CONTEXT);
    CHECK_EQ(api.cuDevicePrimaryCtxRetain(&c, 8), CUDA_ERROR_INVALID_DEVICE);
    CHECK_EQ(api.cuCtxGetCurrent(&c), CUDA_SUCCESS);
    CHECK(c == NULL);
}

/* What a name leads to, asked for with a version and flags; NULL: nothing. */
struct row {
    const char *name;
    int version;
    int flags;
    const char *want;
    int want_status;
};

static void look_up(const struct row *r)
{
    void *v1 = (void *)1, *v2 = (void *)1, *want = NULL;
    CUdriverProcAddressQueryResult status;
    CUresult expect = r->want == NULL ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;

    if (r->want != NULL) {
        want = dlsym(cuda_library, r->want);
        CHECK(want != NULL);
    }
    CHECK_EQ(api.cuGetProcAddress(r->name, &v1, r->version, (uint64_t)r->flags), expect);
    CHECK_EQ(api.cuGetProcAddress_v2(r->name, &v2, r->version, (uint64_t)r->flags, &status),
             expect);
    CHECK_EQ(v1, want);
    CHECK_EQ(v2, want);
    CHECK_EQ(status, r->want_status);
}

static void names_of_12_8(void)
{
    static const struct row rows[] = {
        {"cuMemAlloc", 12080, 0, "cuMemAlloc_v2", 0},
        {"cuMemAlloc", 3010, 0, "cuMemAlloc", 0},
        {"cuCtxCreate", 11030, 0, "cuCtxCreate_v2", 0},
        {"cuCtxCreate", 11040, 0, "cuCtxCreate_v3", 0},
        {"cuCtxCreate", 13000, 0, "cuCtxCreate_v4", 0},
        {"cuGetProcAddress", 11030, 0, "cuGetProcAddress", 0},
        {"cuGetProcAddress", 12000, 0, "cuGetProcAddress_v2", 0},
        {"cuMemAllocAsync", 12000, 0, "cuMemAllocAsync", 0},
        {"cuMemAllocAsync", 12000, 1, "cuMemAllocAsync", 0},
        {"cuMemAllocAsync", 12000, 2, "cuMemAllocAsync_ptsz", 0},
        {"cuMemAlloc", 12000, 2, "cuMemAlloc_v2", 0},
        {"cuMemAllocAsync", 11010, 0, NULL, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT},
        {"cuMemAlloc_v2", 12000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
        {"cuNothing", 12000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        look_up(&rows[i]);
}

static void names_of_11_4(void)
{
    static const struct row rows[] = {
        {"cuGetProcAddress", 12000, 0, "cuGetProcAddress", 0},
        {"cuCtxCreate", 13000, 0, "cuCtxCreate_v3", 0},
        {"cuMemAllocAsync", 12000, 0, "cuMemAllocAsync", 0},
    };
    int version;

    CHECK_EQ(api.cuDriverGetVersion(&version), CUDA_SUCCESS);
    CHECK_EQ(version, 11040);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        look_up(&rows[i]);
}

static void names_of_11_0(void)
{
    static const struct row rows[] = {
        {"cuGetProcAddress", 12000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
        {"cuMemAllocAsync", 12000, 0, NULL, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND},
        {"cuMemRetainAllocationHandle", 11000, 0, "cuMemRetainAllocationHandle", 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        look_up(&rows[i]);
}

static void broken_card(void)
{
    CUdeviceptr p;
    CUcontext c;
    size_t f, t;

    use_device(3);
    CHECK_EQ(api.cuMemAlloc_v2(&p, 4 * MIB), CUDA_SUCCESS);
    ctl("set-bad 3 79");
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1), CUDA_ERROR_DEVICE_UNAVAILABLE);
    CHECK_EQ(api.cuMemGetInfo_v2(&f, &t), CUDA_ERROR_DEVICE_UNAVAILABLE);
    CHECK_EQ(api.cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
    CHECK_EQ(api.cuDevicePrimaryCtxRetain(&c, 3), CUDA_ERROR_DEVICE_UNAVAILABLE);
    use_device(2); /* its neighbour works */
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1), CUDA_SUCCESS);
    ctl("set-bad 2 94 ecc");
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1), CUDA_ERROR_ECC_UNCORRECTABLE);
    ctl("set-bad 2 13 event");
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1), CUDA_SUCCESS);
    ctl("set-good 3");
    use_device(3);
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1), CUDA_SUCCESS);
}

static void device_files(void)
{
    char dir[] = "/tmp/fakegpu-dev-XXXXXX", path[64];
    int count;
    CUuuid uuid;

    CHECK(mkdtemp(dir) != NULL);
    setenv("FAKEGPU_DEV", dir, 1);
    CHECK_EQ(api.cuInit(0), CUDA_ERROR_NO_DEVICE);
    snprintf(path, sizeof(path), "%s/nvidia5", dir);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    fclose(f);
    CHECK_EQ(api.cuInit(0), CUDA_SUCCESS);
    unlink(path);
    rmdir(dir);
    CHECK_EQ(api.cuDeviceGetCount(&count), CUDA_SUCCESS);
    CHECK_EQ(count, 1);
    CHECK_EQ(api.cuDeviceGetUuid_v2(&uuid, 0), CUDA_SUCCESS);
    CHECK_EQ(uuid.bytes[15], 5);
}

static void identity(void)
{
    const char *name;
    size_t total;
    int value;

    use_device(0);
    CHECK_EQ(api.cuDeviceTotalMem_v2(&total, 7), CUDA_SUCCESS);
    CHECK_EQ(total, 81920 * MIB);
    CHECK_EQ(api.cuDeviceGetAttribute(&value, 33, 1), CUDA_SUCCESS);
    CHECK_EQ(value, 0x0f);
    CHECK_EQ(api.cuDeviceGetAttribute(&value, 75, 1), CUDA_SUCCESS);
    CHECK_EQ(value, 8);
    CHECK_EQ(api.cuDeviceGetAttribute(&value, 4711, 1), CUDA_ERROR_INVALID_VALUE);
    CHECK_EQ(api.cuGetErrorName(2, &name), CUDA_SUCCESS);
    CHECK_EQ(strcmp(name, "CUDA_ERROR_OUT_OF_MEMORY"), 0);
    CHECK_EQ(api.cuGetErrorName(-1, &name), CUDA_ERROR_INVALID_VALUE);
}

const struct test driver_tests[] = {
    {"CUDA_VISIBLE_DEVICES takes indexes and UUIDs up to the first wrong one", "", visible_devices},
    {"a machine without cards has no device", "", no_driver_state},
    {"calls before cuInit, and without a context, are refused", "", not_initialised},
    {"cuGetProcAddress of a 12.8 driver follows version and flags", "", names_of_12_8},
    {"cuGetProcAddress of an 11.4 driver knows nothing later", "--cuda-version 11.4",
     names_of_11_4},
    {"cuGetProcAddress of an 11.0 driver knows nothing later", "--cuda-version 11.0",
     names_of_11_0},
    {"a card goes bad and good on demand, its neighbour works", "", broken_card},
    {"where device files are required, a card is seen only through its own", "--require-devnodes",
     device_files},
    {"devices say who they are", "", identity},
    {NULL, NULL, NULL},
};
