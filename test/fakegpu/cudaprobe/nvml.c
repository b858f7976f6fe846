/* NVML as monitoring tools see it: opened by name, cards found by UUID. */
#include "probe.h"

#include <dlfcn.h>

typedef int (*init_function)(void);
typedef int (*handle_function)(const char *, void **);
typedef int (*memory_function)(void *, struct probe_nvml_memory *);

struct nvml {
    init_function init;
    handle_function by_uuid;
    memory_function memory;
};

static const char *load(struct nvml *nvml)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (library == NULL)
        return "libnvidia-ml.so.1 cannot be opened";
    *(void **)&nvml->init = dlsym(library, "nvmlInit_v2");
    *(void **)&nvml->by_uuid = dlsym(library, "nvmlDeviceGetHandleByUUID");
    *(void **)&nvml->memory = dlsym(library, "nvmlDeviceGetMemoryInfo");
    if (nvml->init == NULL || nvml->by_uuid == NULL || nvml->memory == NULL)
        return "libnvidia-ml.so.1 lacks a function";
    return nvml->init() == 0 ? NULL : "nvmlInit_v2 is refused";
}

bool probe_nvml_memory(const char *uuid, struct probe_nvml_memory *memory, const char **why)
{
    static struct nvml nvml;
    static const char *trouble;
    static bool loaded;
    if (!loaded) {
        trouble = load(&nvml);
        loaded = true;
    }
    void *handle = NULL;
    if (trouble != NULL)
        *why = trouble;
    else if (nvml.by_uuid(uuid, &handle) != 0)
        *why = "nvmlDeviceGetHandleByUUID is refused";
    else if (nvml.memory(handle, memory) != 0)
        *why = "nvmlDeviceGetMemoryInfo is refused";
    else
        return true;
    return false;
}
