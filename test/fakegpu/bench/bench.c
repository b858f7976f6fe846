/* What the fake driver itself costs, so that the limiter's share can be told apart. Prints JSON
 * lines: {"name":..,"value":..,"unit":"ns"}. Usage: bench PATH-OF-libcuda.so.1 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../cuda/types.h"

#define TRIALS 7
#define OPS 200000
#define LIVE 100000
#define SIZE (64u << 10)

static CUresult (*init)(unsigned);
static CUresult (*retain)(CUcontext *, CUdevice);
static CUresult (*set_current)(CUcontext);
static CUresult (*info)(size_t *, size_t *);
static CUresult (*allocate)(CUdeviceptr *, size_t);
static CUresult (*release)(CUdeviceptr);

static CUdeviceptr live[LIVE];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(CUresult r, const char *what)
{
    if (r == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: error %d\n", what, r);
    exit(1);
}

static void one_info(void)
{
    size_t f, t;

    must(info(&f, &t), "cuMemGetInfo");
}

static void one_pair(void)
{
    CUdeviceptr p;

    must(allocate(&p, SIZE), "cuMemAlloc");
    must(release(p), "cuMemFree");
}

static void one_big_pair(void)
{
    CUdeviceptr p;

    must(allocate(&p, 4u << 20), "cuMemAlloc");
    must(release(p), "cuMemFree");
}

static void replace_random(void)
{
    static unsigned seed = 1;
    CUdeviceptr *p = &live[(unsigned)rand_r(&seed) % LIVE];

    must(release(*p), "cuMemFree");
    must(allocate(p, SIZE), "cuMemAlloc");
}

/* The best of several trials: what the work costs when nobody disturbs it. */
static void measure(const char *name, void (*op)(void))
{
    double best = 1e18;

    for (int t = 0; t < TRIALS; t++) {
        double start = now();
        for (int i = 0; i < OPS; i++)
            op();
        double ns = (now() - start) / OPS;
        best = ns < best ? ns : best;
    }
    printf("{\"name\":\"%s\",\"value\":%.1f,\"unit\":\"ns\"}\n", name, best);
}

int main(int argc, char **argv)
{
    void *lib = dlopen(argc > 1 ? argv[1] : "libcuda.so.1", RTLD_NOW);
    CUcontext c;

    if (lib == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&init = dlsym(lib, "cuInit");
    *(void **)&retain = dlsym(lib, "cuDevicePrimaryCtxRetain");
    *(void **)&set_current = dlsym(lib, "cuCtxSetCurrent");
    *(void **)&info = dlsym(lib, "cuMemGetInfo_v2");
    *(void **)&allocate = dlsym(lib, "cuMemAlloc_v2");
    *(void **)&release = dlsym(lib, "cuMemFree_v2");
    must(init(0), "cuInit");
    must(retain(&c, 0), "cuDevicePrimaryCtxRetain");
    must(set_current(c), "cuCtxSetCurrent");
    measure("fakegpu.meminfo.ns", one_info);
    measure("fakegpu.allocfree_0.ns", one_pair);
    measure("fakegpu.allocfree_4mib_0.ns", one_big_pair);
    for (int i = 0; i < LIVE; i++)
        must(allocate(&live[i], SIZE), "cuMemAlloc");
    measure("fakegpu.allocfree_100k.ns", one_pair);
    measure("fakegpu.replace_100k.ns", replace_random);
    return 0;
}
