/* NVML's view; the Go test reads the same through go-nvml. */
#include "check.h"

#include <time.h>
#include <unistd.h>

static nvmlDevice_t device(unsigned index)
{
    nvmlDevice_t d;

    CHECK_EQ(api.nvmlInit_v2(), NVML_SUCCESS);
    CHECK_EQ(api.nvmlDeviceGetHandleByIndex_v2(index, &d), NVML_SUCCESS);
    return d;
}

static void hold_memory(void)
{
    CUdeviceptr p;

    use_device(0);
    CHECK_EQ(api.cuMemAlloc_v2(&p, 100 * MIB), CUDA_SUCCESS);
}

static void memory(void)
{
    nvmlDevice_t d = device(0);
    nvmlMemory_v2_t v2 = {.version = 1};
    nvmlMemory_t v1;
    pid_t pid = child_start(hold_memory);

    CHECK_EQ(api.nvmlDeviceGetMemoryInfo(d, &v1), NVML_SUCCESS);
    CHECK_EQ(v1.used, 400 * MIB);
    CHECK_EQ(v1.total, v1.free + v1.used);
    CHECK_EQ(api.nvmlDeviceGetMemoryInfo_v2(d, &v2), NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    v2.version = NVML_MEMORY_V2;
    CHECK_EQ(api.nvmlDeviceGetMemoryInfo_v2(d, &v2), NVML_SUCCESS);
    CHECK_EQ(v2.total, v2.free + v2.used + v2.reserved);
    child_kill(pid);
    CHECK_EQ(api.nvmlDeviceGetMemoryInfo(d, &v1), NVML_SUCCESS);
    CHECK_EQ(v1.used, 0); /* NVML looks at once */
}

static void processes(void)
{
    nvmlDevice_t d = device(0);
    nvmlProcessInfo_v1_t v1[2];
    nvmlProcessInfo_t v3[2];
    unsigned count = 0;
    pid_t a = child_start(hold_memory), b = child_start(hold_memory);

    CHECK_EQ(api.nvmlDeviceGetComputeRunningProcesses_v3(d, &count, NULL),
             NVML_ERROR_INSUFFICIENT_SIZE);
    CHECK_EQ(count, 2);
    count = 1;
    CHECK_EQ(api.nvmlDeviceGetComputeRunningProcesses(d, &count, v1), NVML_ERROR_INSUFFICIENT_SIZE);
    CHECK_EQ(count, 2);
    CHECK_EQ(api.nvmlDeviceGetComputeRunningProcesses(d, &count, v1), NVML_SUCCESS);
    CHECK((v1[0].pid == (unsigned)a && v1[1].pid == (unsigned)b) ||
          (v1[0].pid == (unsigned)b && v1[1].pid == (unsigned)a));
    CHECK_EQ(v1[1].usedGpuMemory, 400 * MIB);
    child_kill(a);
    CHECK_EQ(api.nvmlDeviceGetComputeRunningProcesses_v3(d, &count, v3), NVML_SUCCESS);
    CHECK_EQ(count, 1);
    CHECK_EQ(v3[0].pid, b);
    CHECK_EQ(v3[0].gpuInstanceId, NVML_NO_INSTANCE);
    child_kill(b);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void events(void)
{
    nvmlDevice_t d = device(4);
    nvmlEventSet_t set;
    nvmlEventData_t e;

    ctl("set-bad 4 31 event"); /* before the registration: not of this set */
    CHECK_EQ(api.nvmlEventSetCreate(&set), NVML_SUCCESS);
    CHECK_EQ(api.nvmlDeviceRegisterEvents(d, NVML_EVENT_XID, set), NVML_SUCCESS);
    double start = seconds();
    CHECK_EQ(api.nvmlEventSetWait_v2(set, &e, 60), NVML_ERROR_TIMEOUT);
    CHECK(seconds() - start >= 0.06);
    ctl("set-bad 5 62 event"); /* another card */
    ctl("set-bad 4 79");
    CHECK_EQ(api.nvmlEventSetWait_v2(set, &e, 5000), NVML_SUCCESS);
    CHECK_EQ(e.eventData, 79);
    CHECK_EQ(e.eventType, NVML_EVENT_XID);
    CHECK(e.device == d);
    if (fork() == 0) {
        usleep(20000);
        ctl("set-bad 4 48 ecc");
        _exit(0);
    }
    start = seconds();
    CHECK_EQ(api.nvmlEventSetWait_v2(set, &e, 20000), NVML_SUCCESS);
    CHECK_EQ(e.eventData, 48);
    CHECK(seconds() - start < 10);
    CHECK_EQ(api.nvmlEventSetFree(set), NVML_SUCCESS);
}

static void lost(void)
{
    nvmlDevice_t d = device(1), again;
    nvmlMemory_t m;
    unsigned count;

    ctl("set-bad GPU-ba5a1700-0000-4000-8000-000000000001 79 lost");
    CHECK_EQ(api.nvmlDeviceGetMemoryInfo(d, &m), NVML_ERROR_GPU_IS_LOST);
    CHECK_EQ(api.nvmlDeviceGetHandleByIndex_v2(1, &again), NVML_ERROR_GPU_IS_LOST);
    CHECK_EQ(api.nvmlDeviceGetCount_v2(&count), NVML_SUCCESS);
    CHECK_EQ(count, 8);
    ctl("set-good 1");
    CHECK_EQ(api.nvmlDeviceGetMemoryInfo(d, &m), NVML_SUCCESS);
    CHECK_EQ(api.nvmlShutdown(), NVML_SUCCESS);
    CHECK_EQ(api.nvmlDeviceGetMemoryInfo(d, &m), NVML_ERROR_UNINITIALIZED);
}

static void ignores_visible_devices(void)
{
    unsigned count;

    setenv("CUDA_VISIBLE_DEVICES", "2", 1);
    CHECK_EQ(api.nvmlInit_v2(), NVML_SUCCESS);
    CHECK_EQ(api.nvmlDeviceGetCount_v2(&count), NVML_SUCCESS);
    CHECK_EQ(count, 8);
}

const struct test nvml_tests[] = {
    {"NVML memory follows the processes, and their death", "", memory},
    {"NVML lists processes and says when the buffer is too small", "", processes},
    {"NVML waits for XID events of registered cards, or times out", "", events},
    {"NVML says that a lost card is lost", "", lost},
    {"NVML ignores CUDA_VISIBLE_DEVICES", "", ignores_visible_devices},
    {NULL, NULL, NULL},
};
