/* Several processes on one node. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTEXT (300 * MIB)

static void hold_gib(void)
{
    CUdeviceptr p;

    use_device(0);
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1024 * MIB), CUDA_SUCCESS);
}

static void shared_and_reclaimed(void)
{
    pid_t a = child_start(hold_gib), b = child_start(hold_gib);

    use_device(0);
    CHECK_EQ(used_now(), 3 * CONTEXT + 2048 * MIB);
    child_kill(a);
    wait_used(2 * CONTEXT + 1024 * MIB);
    child_kill(b);
    wait_used(CONTEXT);
}

static void reclaimed_for_an_allocation(void)
{
    pid_t a = child_start(hold_gib);
    CUdeviceptr p;

    use_device(0);
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1024 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    child_kill(a);
    /* At once, not only when somebody asks for the free memory. */
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1024 * MIB), CUDA_SUCCESS);
}

/* Allocates and frees all kinds of sizes until it is killed. */
static void churn(void)
{
    CUdeviceptr p[64] = {0};
    unsigned seed = (unsigned)getpid();

    use_device(0);
    for (;;) {
        int i = rand_r(&seed) % 64;
        if (p[i] != 0)
            api.cuMemFree_v2(p[i]);
        p[i] = 0;
        api.cuMemAlloc_v2(&p[i], (size_t)1 << rand_r(&seed) % 28);
    }
}

static void killed_at_any_instruction(void)
{
    enum { CHILDREN = 6, ROUNDS = 20 };
    pid_t pids[CHILDREN];
    unsigned seed = 3;

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CHILDREN; i++) {
            pids[i] = fork();
            if (pids[i] == 0)
                churn();
        }
        usleep(2000 + (unsigned)rand_r(&seed) % 20000);
        for (int i = 0; i < CHILDREN; i++)
            child_kill(pids[i]);
    }
    use_device(0);
    wait_used(CONTEXT);
    ctl("dump >/dev/null");
}

enum { RACERS = 5 };

/* Shared by the racers: how many are at the start, and how many have asked. */
static struct {
    _Atomic int ready, asked;
} * race;

static void all_reach(_Atomic int *count)
{
    (*count)++;
    while (*count < RACERS)
        sched_yield();
}

static int one_racer(void)
{
    CUdeviceptr p;

    use_device(0);
    all_reach(&race->ready);
    CUresult r = api.cuMemAlloc_v2(&p, 600 * MIB);
    all_reach(&race->asked); /* and hold it until then */
    return r == CUDA_SUCCESS ? 10 : r == CUDA_ERROR_OUT_OF_MEMORY ? 11 : 12;
}

/* 5 contexts of 300 MiB and one allocation of 600 MiB fit in 2300 MiB; two do not. */
static void race_once(void)
{
    int won = 0, status;

    race->ready = race->asked = 0;
    for (int i = 0; i < RACERS; i++) {
        if (fork() == 0)
            _exit(one_racer());
    }
    for (int i = 0; i < RACERS; i++) {
        CHECK(wait(&status) > 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 12);
        won += WEXITSTATUS(status) == 10;
    }
    CHECK_EQ(won, 1);
}

static void never_over_capacity(void)
{
    race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(race != MAP_FAILED);
    for (int i = 0; i < 30; i++)
        race_once();
}

static int child_after_fork(void)
{
    int count;
    CUdeviceptr p;

    return api.cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED &&
                   api.cuMemAlloc_v2(&p, 1) == CUDA_ERROR_NOT_INITIALIZED &&
                   api.cuInit(0) == CUDA_ERROR_NOT_INITIALIZED
               ? 0
               : 1;
}

static int child_before_init(void)
{
    use_device(0);
    return used_now() == CONTEXT ? 0 : 1;
}

static void forks(void)
{
    CHECK_EQ(child_run(child_before_init), 0);
    use_device(0);
    CHECK_EQ(child_run(child_after_fork), 0);
    wait_used(CONTEXT); /* the child's end took nothing of ours */
    CUdeviceptr p;
    CHECK_EQ(api.cuMemAlloc_v2(&p, 1), CUDA_SUCCESS);
}

static void *thread_churn(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    use_device((int)(uintptr_t)arg % 2);
    for (int i = 0; i < 20000; i++) {
        CUdeviceptr p;
        size_t size = (size_t)1 << rand_r(&seed) % 23;

        CHECK_EQ(api.cuMemAlloc_v2(&p, size), CUDA_SUCCESS);
        CHECK_EQ(api.cuMemFree_v2(p), CUDA_SUCCESS);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t t[8];

    for (uintptr_t i = 0; i < 8; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, thread_churn, (void *)i), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    use_device(0);
    CHECK_EQ(used_now(), CONTEXT);
    use_device(1);
    CHECK_EQ(used_now(), CONTEXT);
}

static void nvml_beside_cuda(void)
{
    nvmlDevice_t d;
    nvmlMemory_t m;
    nvmlProcessInfo_t info[4];
    unsigned count = 4;

    use_device(0);
    for (int i = 0; i < 3; i++) { /* must neither reap this process's slot nor drop its lock */
        CHECK_EQ(api.nvmlInit_v2(), NVML_SUCCESS);
        CHECK_EQ(api.nvmlDeviceGetHandleByIndex_v2(0, &d), NVML_SUCCESS);
        CHECK_EQ(api.nvmlDeviceGetMemoryInfo(d, &m), NVML_SUCCESS);
        CHECK_EQ(m.used, CONTEXT);
        CHECK_EQ(api.nvmlShutdown(), NVML_SUCCESS);
    }
    ctl("dump | grep -q '\"contexts\": 1'");
    CHECK_EQ(api.nvmlInit_v2(), NVML_SUCCESS);
    CHECK_EQ(api.nvmlDeviceGetComputeRunningProcesses_v3(d, &count, info), NVML_SUCCESS);
    CHECK_EQ(count, 1);
    CHECK_EQ(info[0].pid, getpid());
    CHECK_EQ(info[0].usedGpuMemory, CONTEXT);
}

const struct test process_tests[] = {
    {"processes share a card, and death gives memory back", "", shared_and_reclaimed},
    {"a dead process's memory is there for the next allocation", "--memory-mib 1700",
     reclaimed_for_an_allocation},
    {"SIGKILL at any instruction loses nothing", "", killed_at_any_instruction},
    {"of several that race for the last memory exactly one gets it", "--memory-mib 2300",
     never_over_capacity},
    {"a forked child is not initialised, its parent stays so", "", forks},
    {"threads allocate at once on two cards", "", threads},
    {"NVML in the same process leaves CUDA alone", "", nvml_beside_cuda},
    {NULL, NULL, NULL},
};
