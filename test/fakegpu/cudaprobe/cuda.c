/* The CUDA driver as this program sees it: opened by name, as cudart does. */
#include "probe.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_DEVICES = 64, STATUS_NO_DRIVER = 3 };

static struct probe_cuda api;
static CUcontext contexts[MAX_DEVICES];

/* Says why the driver cannot be used, and ends the program. */
static _Noreturn void give_up(const char *what, const char *why)
{
    printf("{\"step\":\"driver\",\"error\":\"%s: %s\"}\n", what, why);
    fflush(stdout);
    exit(STATUS_NO_DRIVER);
}

static void *must_find(void *library, const char *name)
{
    void *function = dlsym(library, name);
    if (function == NULL)
        give_up(name, "not in libcuda.so.1");
    return function;
}

const struct probe_cuda *probe_cuda(void)
{
    static bool loaded;
    if (loaded)
        return &api;
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == NULL)
        give_up("dlopen libcuda.so.1", dlerror());
#define PROBE_LOAD(field, name, parameters) *(void **)&api.field = must_find(library, name);
    PROBE_CUDA_FUNCTIONS(PROBE_LOAD)
#undef PROBE_LOAD
    loaded = true;
    CUresult result = api.init(0);
    if (result != CUDA_SUCCESS)
        give_up("cuInit", probe_error_name(result));
    return &api;
}

const char *probe_error_name(CUresult result)
{
    const char *name = NULL;
    if (api.error_name == NULL || api.error_name(result, &name) != CUDA_SUCCESS || name == NULL)
        return "CUDA_ERROR_WITHOUT_NAME";
    return name;
}

int probe_device_count(void)
{
    int count = 0;
    CUresult result = probe_cuda()->device_count(&count);
    if (result != CUDA_SUCCESS)
        give_up("cuDeviceGetCount", probe_error_name(result));
    return count < MAX_DEVICES ? count : MAX_DEVICES;
}

struct probe_device probe_device(int ordinal)
{
    struct probe_device device = {.ordinal = ordinal};
    CUuuid id = {{0}};
    CUdevice handle = 0;
    CUresult result = probe_cuda()->device_get(&handle, ordinal);
    if (result == CUDA_SUCCESS)
        result = api.device_uuid(&id, handle);
    if (result != CUDA_SUCCESS)
        give_up("cuDeviceGetUuid", probe_error_name(result));
    int at = snprintf(device.uuid, sizeof device.uuid, "GPU-");
    for (int i = 0; i < 16; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        at += snprintf(device.uuid + at, sizeof device.uuid - (size_t)at, "%s%02x", dash,
                       id.bytes[i]);
    }
    return device;
}

CUresult probe_use(int ordinal)
{
    if (ordinal < 0 || ordinal >= MAX_DEVICES)
        return 101; /* CUDA_ERROR_INVALID_DEVICE */
    CUdevice handle = 0;
    CUresult result = probe_cuda()->device_get(&handle, ordinal);
    if (result == CUDA_SUCCESS && contexts[ordinal] == NULL)
        result = api.primary_retain(&contexts[ordinal], handle);
    if (result == CUDA_SUCCESS)
        result = api.set_current(contexts[ordinal]);
    return result;
}
