/*
 * What a call costs through the limiter, over the fake driver: the difference between the hook and
 * the driver's own function, called in turn in one process, median of many short batches. Prints
 * one JSON line per figure. Precondition: started by run.sh, with the library preloaded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hc_cuda.h"
#include "hc_elf.h"

#define ROUNDS 201
#define BATCH 2000
#define LIVE 100000
#define BYTES (64 << 10)
#define STARTS 301

struct api {
    hc_result (*mem_get_info)(size_t *, size_t *);
    hc_result (*mem_alloc)(hc_devptr *, size_t);
    hc_result (*mem_free)(hc_devptr);
    hc_result (*get_proc)(const char *, void **, int, uint64_t, int *);
};

typedef void batch_fn(const struct api *api);

static FILE *out;

static void fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

static void report(const char *name, double value, const char *unit)
{
    printf("{\"name\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"}\n", name, value, unit);
    if (out != NULL)
        fprintf(out, "{\"name\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"}\n", name, value, unit);
}

static void info_batch(const struct api *api)
{
    size_t f, t;

    for (int i = 0; i < BATCH; i++)
        if (api->mem_get_info(&f, &t) != 0)
            fail("cuMemGetInfo");
}

static void alloc_batch(const struct api *api)
{
    hc_devptr p;

    for (int i = 0; i < BATCH; i++)
        if (api->mem_alloc(&p, BYTES) != 0 || api->mem_free(p) != 0)
            fail("cuMemAlloc and cuMemFree");
}

static void proc_batch(const struct api *api)
{
    void *fn;
    int status;

    for (int i = 0; i < BATCH; i++)
        if (api->get_proc("cuMemAlloc", &fn, 12000, 0, &status) != 0)
            fail("cuGetProcAddress");
}

/* Nanoseconds per operation that the hook adds. */
static double overhead(batch_fn *batch, const struct api *hook, const struct api *real)
{
    static double difference[ROUNDS];

    batch(hook);
    batch(real);
    for (int r = 0; r < ROUNDS; r++) {
        double start = now_ns(), middle, end;

        batch(r % 2 == 0 ? hook : real);
        middle = now_ns();
        batch(r % 2 == 0 ? real : hook);
        end = now_ns();
        difference[r] = (r % 2 == 0 ? 1 : -1) * ((middle - start) - (end - middle)) / BATCH;
    }
    return median(difference, ROUNDS);
}

extern char **environ;

static double start_once(char **env)
{
    char *argv[] = {"/bin/true", NULL};
    double start = now_ns();
    int status;
    pid_t pid;

    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, env) != 0 || waitpid(pid, &status, 0) != pid)
        fail("/bin/true");
    return now_ns() - start;
}

/* Microseconds that a process pays which never hears of CUDA. */
static double start_overhead(const char *library)
{
    static double difference[STARTS];
    char preload[4096];
    char *with[] = {preload, NULL}, *without[] = {NULL};

    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
    for (int i = 0; i < STARTS; i++) {
        double a = start_once(i % 2 == 0 ? with : without);
        double b = start_once(i % 2 == 0 ? without : with);

        difference[i] = (i % 2 == 0 ? a - b : b - a) / 1000;
    }
    return median(difference, STARTS);
}

static void resolve(struct api *hook, struct api *real)
{
    void *handle = dlopen("libcuda.so.1", RTLD_NOW);
    struct hc_module m;

    if (handle == NULL || !hc_elf_find_module("libcuda.so", &m))
        fail("libcuda.so.1 cannot be loaded");
    hook->mem_get_info = (hc_result(*)(size_t *, size_t *))dlsym(handle, "cuMemGetInfo_v2");
    hook->mem_alloc = (hc_result(*)(hc_devptr *, size_t))dlsym(handle, "cuMemAlloc_v2");
    hook->mem_free = (hc_result(*)(hc_devptr))dlsym(handle, "cuMemFree_v2");
    hook->get_proc = (hc_result(*)(const char *, void **, int, uint64_t, int *))dlsym(
        handle, "cuGetProcAddress_v2");
    real->mem_get_info = (hc_result(*)(size_t *, size_t *))hc_elf_function(&m, "cuMemGetInfo_v2");
    real->mem_alloc = (hc_result(*)(hc_devptr *, size_t))hc_elf_function(&m, "cuMemAlloc_v2");
    real->mem_free = (hc_result(*)(hc_devptr))hc_elf_function(&m, "cuMemFree_v2");
    real->get_proc = (hc_result(*)(const char *, void **, int, uint64_t, int *))hc_elf_function(
        &m, "cuGetProcAddress_v2");
    if (hook->mem_alloc == real->mem_alloc || hook->get_proc == real->get_proc)
        fail("the limiter is not loaded");
    hc_result (*init)(unsigned) = (hc_result(*)(unsigned))dlsym(handle, "cuInit");
    hc_result (*retain)(hc_ctx *, int) =
        (hc_result(*)(hc_ctx *, int))dlsym(handle, "cuDevicePrimaryCtxRetain");
    hc_result (*set)(hc_ctx) = (hc_result(*)(hc_ctx))dlsym(handle, "cuCtxSetCurrent");
    hc_ctx ctx;
    if (init(0) != 0 || retain(&ctx, 0) != 0 || set(ctx) != 0)
        fail("no context");
}

int main(int argc, char **argv)
{
    static hc_devptr live[LIVE];
    struct api hook, real;

    if (argc != 3)
        fail("usage: bench LIBRARY OUTPUT");
    out = fopen(argv[2], "w");
    if (out == NULL)
        fail("the output file cannot be written");
    resolve(&hook, &real);
    report("limiter.meminfo_overhead.ns", overhead(info_batch, &hook, &real), "ns");
    report("limiter.allocfree_overhead_0.ns", overhead(alloc_batch, &hook, &real), "ns");
    for (int i = 0; i < LIVE; i++)
        if (hook.mem_alloc(&live[i], BYTES) != 0)
            fail("100,000 allocations");
    report("limiter.allocfree_overhead_100k.ns", overhead(alloc_batch, &hook, &real), "ns");
    for (int i = 0; i < LIVE; i++)
        hook.mem_free(live[i]);
    report("limiter.procaddr_overhead.ns", overhead(proc_batch, &hook, &real), "ns");
    report("limiter.process_start.us", start_overhead(argv[1]), "us");
    return fclose(out) == 0 ? 0 : 1;
}
