/*
 * The library over the fake driver: one behaviour per run, named on the command line. run.sh starts
 * it with the library preloaded, a limit of 3000 MiB, a context of 300 MiB, and one card. Linked
 * with -DDIRECT it takes the driver's functions from the linker, otherwise from dlopen and dlsym.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "hc_abi.h"
#include "hc_cuda.h"

#define OOM HC_CUDA_OUT_OF_MEMORY

struct nvml {
    int (*init)(void);
    int (*by_index)(unsigned, hc_nvml_device *);
    int (*memory)(hc_nvml_device, struct hc_nvml_memory *);
    int (*memory_v2)(hc_nvml_device, struct hc_nvml_memory_v2 *);
};

static void *cuda;

static void *must(void *p)
{
    if (p == NULL)
        fprintf(stderr, "e2e: %s\n", dlerror());
    CHECK(p != NULL);
    return p;
}

#define CU(name, ...) ((hc_result(*)(__VA_ARGS__))must(dlsym(cuda, #name)))

static hc_ctx context(void)
{
    hc_ctx ctx;

    CHECK_EQ(0, CU(cuInit, unsigned)(0));
    CHECK_EQ(0, CU(cuDevicePrimaryCtxRetain, hc_ctx *, int)(&ctx, 0));
    CHECK_EQ(0, CU(cuCtxSetCurrent, hc_ctx)(ctx));
    return ctx;
}

static hc_result alloc_mib(hc_devptr *p, uint64_t mib)
{
    return CU(cuMemAlloc_v2, hc_devptr *, size_t)(p, mib * MIB);
}

static hc_result free_ptr(hc_devptr p)
{
    return CU(cuMemFree_v2, hc_devptr)(p);
}

static uint64_t free_mib(void)
{
    size_t free_bytes, total;

    CHECK_EQ(0, CU(cuMemGetInfo_v2, size_t *, size_t *)(&free_bytes, &total));
    CHECK_EQ(3000 * MIB, total);
    return free_bytes / MIB;
}

static void limit(void)
{
    hc_devptr a, b;

    context();
    CHECK_EQ(2700, free_mib());
    CHECK_EQ(0, alloc_mib(&a, 2500));
    CHECK_EQ(OOM, alloc_mib(&b, 400));
    CHECK_EQ(0, alloc_mib(&b, 200));
    CHECK_EQ(0, free_mib());
    CHECK_EQ(OOM, alloc_mib(&b, 1));
    CHECK_EQ(0, free_ptr(a));
    CHECK_EQ(2500, free_mib());
    CHECK_EQ(HC_CUDA_INVALID_VALUE, free_ptr(a)); /* unknown: the driver's own answer */
    CHECK_EQ(2500, free_mib());
}

static void paths(void)
{
    struct hc_mem_prop prop = {.type = 1, .location = {.type = HC_LOCATION_DEVICE, .id = 0}};
    hc_devptr p, va;
    hc_handle h, again;
    size_t pitch;

    context();
    CHECK_EQ(OOM, CU(cuMemAllocManaged, hc_devptr *, size_t, unsigned)(&p, 2701 * MIB, 1));
    CHECK_EQ(0, CU(cuMemAllocManaged, hc_devptr *, size_t, unsigned)(&p, 100 * MIB, 1));
    CHECK_EQ(2600, free_mib());
    CHECK_EQ(0, free_ptr(p));
    /* 1 byte wide, but 512 bytes apart. */
    CHECK_EQ(0, CU(cuMemAllocPitch_v2, hc_devptr *, size_t *, size_t, size_t,
                   unsigned)(&p, &pitch, 1, 200 * 2048, 4));
    CHECK_EQ(2500, free_mib());
    CHECK_EQ(0, free_ptr(p));
    CHECK_EQ(OOM, CU(cuMemAllocPitch_v2, hc_devptr *, size_t *, size_t, size_t,
                     unsigned)(&p, &pitch, 1, 2701 * 2048, 4));
    CHECK_EQ(2700, free_mib());

    hc_result (*create)(hc_handle *, size_t, const struct hc_mem_prop *, unsigned long long) =
        CU(cuMemCreate, hc_handle *, size_t, const struct hc_mem_prop *, unsigned long long);
    CHECK_EQ(OOM, create(&h, 2702 * MIB, &prop, 0));
    CHECK_EQ(0, create(&h, 1000 * MIB, &prop, 0));
    CHECK_EQ(1700, free_mib());
    CHECK_EQ(0, CU(cuMemAddressReserve, hc_devptr *, size_t, size_t, hc_devptr,
                   unsigned long long)(&va, 1000 * MIB, 0, 0, 0));
    CHECK_EQ(0, CU(cuMemMap, hc_devptr, size_t, size_t, hc_handle,
                   unsigned long long)(va, 1000 * MIB, 0, h, 0));
    CHECK_EQ(0, CU(cuMemRetainAllocationHandle, hc_handle *, void *)(&again, (void *)va));
    CHECK_EQ(0, CU(cuMemRelease, hc_handle)(h));
    CHECK_EQ(1700, free_mib());
    CHECK_EQ(0, CU(cuMemUnmap, hc_devptr, size_t)(va, 1000 * MIB));
    CHECK_EQ(1700, free_mib()); /* the retained handle */
    CHECK_EQ(0, CU(cuMemRelease, hc_handle)(again));
    CHECK_EQ(2700, free_mib());
}

static void pools(void)
{
    hc_devptr p, q;

    context();
    CHECK_EQ(0, CU(cuMemAllocAsync, hc_devptr *, size_t, void *)(&p, 1000 * MIB, NULL));
    CHECK_EQ(1700, free_mib());
    CHECK_EQ(OOM, CU(cuMemAllocAsync_ptsz, hc_devptr *, size_t, void *)(&q, 1800 * MIB, NULL));
    CHECK_EQ(0, CU(cuMemFreeAsync, hc_devptr, void *)(p, NULL));
    CHECK_EQ(1700, free_mib());       /* the pool keeps it */
    CHECK_EQ(0, alloc_mib(&q, 2700)); /* at the limit the pool is trimmed */
    CHECK_EQ(0, free_ptr(q));
    CHECK_EQ(0, CU(cuMemAllocAsync, hc_devptr *, size_t, void *)(&p, 1000 * MIB, NULL));
    CHECK_EQ(0, free_ptr(p)); /* legal for such a pointer */
    CHECK_EQ(0, CU(cuStreamSynchronize, void *)(NULL));
    CHECK_EQ(2700, free_mib());
}

static void contexts(void)
{
    hc_ctx a, b;
    hc_devptr p;

    context();
    CHECK_EQ(0, CU(cuDevicePrimaryCtxRetain, hc_ctx *, int)(&a, 0));
    CHECK_EQ(2700, free_mib());
    CHECK_EQ(0, CU(cuCtxCreate_v2, hc_ctx *, unsigned, int)(&b, 0, 0));
    CHECK_EQ(2400, free_mib());
    CHECK_EQ(0, alloc_mib(&p, 2200));
    CHECK_EQ(OOM, CU(cuCtxCreate_v2, hc_ctx *, unsigned, int)(&a, 0, 0));
    CHECK_EQ(0, CU(cuCtxDestroy_v2, hc_ctx)(b)); /* with what was allocated in it */
    CHECK_EQ(2700, free_mib());
    CHECK_EQ(0, alloc_mib(&p, 2000));
    CHECK_EQ(0, CU(cuDevicePrimaryCtxRelease_v2, int)(0));
    CHECK_EQ(700, free_mib());
    CHECK_EQ(0, CU(cuDevicePrimaryCtxRelease_v2, int)(0)); /* the last one ends it */
    context();
    CHECK_EQ(2700, free_mib());
    CHECK_EQ(0, CU(cuDevicePrimaryCtxReset_v2, int)(0));
    context();
    CHECK_EQ(2700, free_mib());
}

/* The four ways to a function give hooks, of the right generation; the rest is the driver's. */
static void lookups(void)
{
    hc_result (*get1)(const char *, void **, int, uint64_t) =
        CU(cuGetProcAddress, const char *, void **, int, uint64_t);
    hc_result (*get2)(const char *, void **, int, uint64_t, int *) =
        CU(cuGetProcAddress_v2, const char *, void **, int, uint64_t, int *);
    void *hook = must(dlsym(cuda, "cuMemAlloc_v2")), *f = NULL, *self;
    Dl_info info;
    int status = -1;

    CHECK(dladdr(hook, &info) != 0 && strstr(info.dli_fname, "libvgpu") != NULL);
    CHECK_EQ(0, get1("cuMemAlloc", &f, 12000, 0));
    CHECK(f == hook);
    CHECK_EQ(0, get2("cuMemAlloc", &f, 12000, 0, &status));
    CHECK(f == hook && status == 0);
    CHECK_EQ(0, get2("cuMemAlloc", &f, 2000, 0, &status));
    CHECK(f == must(dlsym(cuda, "cuMemAlloc")) && f != hook);
    CHECK_EQ(0, get2("cuMemAllocAsync", &f, 12000, 2, &status));
    CHECK(f == must(dlsym(cuda, "cuMemAllocAsync_ptsz")));
    CHECK_EQ(0, get2("cuCtxCreate", &f, 11000, 0, &status));
    CHECK(f == must(dlsym(cuda, "cuCtxCreate_v2")));
    CHECK_EQ(0, get2("cuGetProcAddress", &f, 12000, 0, &status));
    CHECK(f == (void *)get2);
    CHECK_EQ(0, get1("cuGetProcAddress", &f, 11030, 0));
    CHECK(f == (void *)get1);
    CHECK(get2("cuNoSuchFunction", &f, 12000, 0, &status) != 0);
    CHECK_EQ(0, get2("cuDeviceGetCount", &f, 12000, 0, &status));
    CHECK(dladdr(f, &info) != 0 && strstr(info.dli_fname, "libcuda") != NULL);
    self = dlopen(NULL, RTLD_NOW);
    CHECK(must(dlsym(self, "cuMemAlloc_v2")) == hook);
    CHECK(dlvsym(cuda, "cuMemAlloc_v2", "NO_SUCH") == NULL || dlerror() == NULL);
    CHECK(dlsym(cuda, "cuMemAlloc_v9") == NULL && dlerror() != NULL);
}

static void caller_semantics(void)
{
    void *first, *second, *libc = dlopen("libc.so.6", RTLD_NOW);

    for (int i = 0; i < 2; i++) {
        first = dlsym(RTLD_NEXT, "malloc");
        second = dlsym(RTLD_NEXT, "malloc");
        CHECK(first != NULL && first == second && first == dlsym(libc, "malloc"));
        CHECK(dlsym(RTLD_NEXT, "main") == NULL); /* next after us, not after the library */
        CHECK(dlsym(RTLD_DEFAULT, "malloc") == first);
        CHECK(dlsym(libc, "cudnnCreate") == NULL && dlsym(libc, "curious") == NULL);
    }
    CHECK(dlvsym(libc, "memcpy", "GLIBC_2.14") != NULL);
    CHECK(dlvsym(RTLD_DEFAULT, "memcpy", "GLIBC_2.14") != NULL);
}

/* The host process notices nothing: umask, signal handlers, errno. */
static void harmless(void)
{
    struct sigaction before[32], now;
    mode_t mask = umask(027);
    hc_devptr p;

    (void)mask;
    for (int s = 1; s < 32; s++)
        sigaction(s, NULL, &before[s]);
    context();
    errno = 4711;
    CHECK_EQ(0, alloc_mib(&p, 10));
    CHECK_EQ(OOM, alloc_mib(&p, 4000));
    CHECK_EQ(2690, free_mib());
    CHECK_EQ(4711, errno);
    CHECK_EQ(027, umask(0));
    for (int s = 1; s < 32; s++) {
        sigaction(s, NULL, &now);
        CHECK(now.sa_handler == before[s].sa_handler);
    }
}

static void nvml(void)
{
    void *lib = must(dlopen("libnvidia-ml.so.1", RTLD_NOW));
    struct nvml n = {
        .init = (int (*)(void))must(dlsym(lib, "nvmlInit_v2")),
        .by_index =
            (int (*)(unsigned, hc_nvml_device *))must(dlsym(lib, "nvmlDeviceGetHandleByIndex_v2")),
        .memory = (int (*)(hc_nvml_device, struct hc_nvml_memory *))must(
            dlsym(lib, "nvmlDeviceGetMemoryInfo")),
        .memory_v2 = (int (*)(hc_nvml_device, struct hc_nvml_memory_v2 *))must(
            dlsym(lib, "nvmlDeviceGetMemoryInfo_v2")),
    };
    struct hc_nvml_memory_v2 m2 = {.version = 40 | 2 << 24};
    struct hc_nvml_memory m;
    hc_nvml_device d;
    hc_devptr p;
    size_t total;

    context();
    CHECK_EQ(0, alloc_mib(&p, 700));
    CHECK_EQ(0, n.init());
    CHECK_EQ(0, n.by_index(0, &d));
    CHECK_EQ(0, n.memory(d, &m));
    CHECK_EQ(3000 * MIB, m.total);
    CHECK_EQ(1000 * MIB, m.used);
    CHECK_EQ(2000 * MIB, m.free);
    CHECK_EQ(0, n.memory_v2(d, &m2));
    CHECK_EQ(m2.total, m2.used + m2.free + m2.reserved);
    CHECK_EQ(3000 * MIB, m2.total);
    CHECK_EQ(0, CU(cuDeviceTotalMem_v2, size_t *, int)(&total, 0));
    CHECK_EQ(3000 * MIB, total);
}

static void *churn(void *arg)
{
    hc_devptr p;

    CHECK_EQ(0, CU(cuCtxSetCurrent, hc_ctx)(arg));
    for (;;) {
        if (alloc_mib(&p, 3) == 0)
            free_ptr(p);
    }
    return NULL;
}

/* Children of a process whose threads allocate at that moment: none may hang. */
static void fork_storm(void)
{
    hc_ctx ctx = context();
    pthread_t thread;

    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&thread, NULL, churn, ctx) == 0);
    for (int i = 0; i < 1000; i++) {
        int pid = fork();

        if (pid == 0) {
            hc_devptr p;

            alarm(20);
            alloc_mib(&p, 1); /* the driver refuses after a fork; it must not hang */
            free_ptr(4096);
            _exit(0);
        }
        wait_ok(pid);
    }
}

static void hold_forever(uint64_t mib)
{
    hc_devptr p;

    context();
    for (;;) {
        if (alloc_mib(&p, mib) == 0)
            free_ptr(p);
    }
}

/* Killed at random moments, then nothing may be charged. */
static void kill_storm(void)
{
    for (int i = 0; i < 60; i++) {
        int pid = fork();

        if (pid == 0)
            hold_forever((uint64_t)(i % 7 + 1) * 90);
        usleep((unsigned)(i * 397 % 9000) + 3000); /* the random moment */
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK(waitpid(pid, NULL, 0) == pid);
    }
    context();
    CHECK_EQ(2700, free_mib());
}

/* Two processes at once: the sum of what they got never exceeds the slice. */
static void race(void)
{
    int out[2], go[2], pids[2], got = 0;
    char byte;

    CHECK(pipe(out) == 0 && pipe(go) == 0);
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            hc_devptr p;

            context();
            CHECK(write(out[1], "r", 1) == 1);
            CHECK(read(go[0], &byte, 1) == 1);
            while (alloc_mib(&p, 10) == 0)
                CHECK(write(out[1], "x", 1) == 1);
            CHECK(write(out[1], "e", 1) == 1);
            pause();
        }
    }
    /* Both have their context before one may take the last of the memory. */
    for (int i = 0; i < 2; i++)
        CHECK(read(out[0], &byte, 1) == 1 && byte == 'r');
    CHECK(write(go[1], "gg", 2) == 2);
    for (int ended = 0; ended < 2;) {
        CHECK(read(out[0], &byte, 1) == 1);
        ended += byte == 'e';
        got += byte == 'x';
    }
    CHECK_EQ(240, got); /* 3000 less two contexts, in tens */
    for (int i = 0; i < 2; i++) {
        kill(pids[i], SIGKILL);
        CHECK(waitpid(pids[i], NULL, 0) == pids[i]);
    }
}

/* A program that execs itself starts with nothing, under the same pid. */
static void exec_again(void)
{
    hc_devptr p;

    context();
    CHECK_EQ(0, alloc_mib(&p, 2500));
    execl("/proc/self/exe", "e2e", "limit", (char *)NULL);
    CHECK(false);
}

static void closed(void)
{
    CHECK_EQ(HC_CUDA_NOT_PERMITTED, CU(cuInit, unsigned)(0));
}

static void unlimited(void)
{
    hc_devptr p;

    context();
    CHECK_EQ(0, alloc_mib(&p, 20000));
}

#ifdef DIRECT
hc_result cuInit(unsigned flags);
hc_result cuDevicePrimaryCtxRetain(hc_ctx *ctx, int device);
hc_result cuCtxSetCurrent(hc_ctx ctx);
hc_result cuMemAlloc_v2(hc_devptr *p, size_t bytes);

static void direct(void)
{
    hc_devptr p;
    hc_ctx ctx;

    CHECK_EQ(0, cuInit(0));
    CHECK_EQ(0, cuDevicePrimaryCtxRetain(&ctx, 0));
    CHECK_EQ(0, cuCtxSetCurrent(ctx));
    CHECK_EQ(OOM, cuMemAlloc_v2(&p, 2701 * MIB));
    CHECK_EQ(0, cuMemAlloc_v2(&p, 2700 * MIB));
}
#endif

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {
        {"limit", limit},           {"paths", paths},
        {"pools", pools},           {"contexts", contexts},
        {"lookups", lookups},       {"caller", caller_semantics},
        {"harmless", harmless},     {"nvml", nvml},
        {"fork-storm", fork_storm}, {"race", race},
        {"kill-storm", kill_storm}, {"exec", exec_again},
        {"closed", closed},         {"unlimited", unlimited},
#ifdef DIRECT
        {"direct", direct},
#endif
    };

    alarm(120); /* a hang is a failure */
    if (argc == 2 && strcmp(argv[1], "caller") != 0)
        cuda = must(dlopen("libcuda.so.1", RTLD_NOW));
    for (size_t i = 0; argc == 2 && i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(argv[1], all[i].name) == 0) {
            all[i].run();
            _exit(0); /* threads may still run */
        }
    }
    return 2;
}

void wait_ok(int pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
