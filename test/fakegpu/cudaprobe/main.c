/*
 * cudaprobe runs its arguments as a script, step by step in one process, and prints one JSON object
 * a step. It is what the containers of the tests run.
 *
 *   info                    every visible device through CUDA and NVML
 *   alloc|managed|pitch|create|async MIB [device]
 *                           take memory and keep it
 *   free                    give the last one back
 *   touch                   write to the last one
 *   expect-ok, expect-oom   end with status 1 when the last result was another
 *   expect-total MIB        end with status 1 when a device's total is another (CUDA or NVML)
 *   expect-devices N        end with status 1 when another number of devices is visible
 *   sleep SECONDS, hold     wait; hold ends with status 0 at SIGTERM
 *   unsetenv                remove every environment variable
 *   env                     print the environment
 *   exec                    run the rest in a new image of this process
 */
#include "probe.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { STATUS_UNEXPECTED = 1, STATUS_USAGE = 2, MAX_KEPT = 4096 };

static const size_t mib = 1 << 20;

enum way { WAY_ALLOC, WAY_MANAGED, WAY_PITCH, WAY_CREATE, WAY_ASYNC };

struct kept {
    enum way way;
    unsigned long long address; /* or handle */
    size_t bytes;
};

static struct kept kept[MAX_KEPT];
static int kept_count;
static CUresult last_result;

static _Noreturn void usage(const char *step, const char *why)
{
    printf("{\"step\":\"%s\",\"error\":\"%s\"}\n", step, why);
    exit(STATUS_USAGE);
}

static unsigned long number(const char *step, const char *text)
{
    char *end = NULL;
    unsigned long value = text == NULL ? 0 : strtoul(text, &end, 10);
    if (text == NULL || end == text || *end != 0)
        usage(step, "wants a whole number");
    return value;
}

static bool is_number(const char *text)
{
    return text != NULL && *text != 0 && strspn(text, "0123456789") == strlen(text);
}

/* Prints a text as a JSON string. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 0x20)
            printf("\\u%04x", *c);
        else
            putchar(*c);
    }
    putchar('"');
}

static void print_result(const char *step, size_t bytes, CUresult result)
{
    printf("{\"step\":\"%s\",\"mib\":%zu,\"result\":\"%s\"}\n", step, bytes / mib,
           result == CUDA_SUCCESS ? "CUDA_SUCCESS" : probe_error_name(result));
}

/* The totals of one device in MiB; memory is asked of the device's context. */
struct totals {
    size_t device_total, info_free, info_total;
    struct probe_nvml_memory nvml;
    bool has_nvml;
    const char *nvml_error;
};

static struct totals read_totals(struct probe_device device)
{
    struct totals t = {.nvml_error = ""};
    const struct probe_cuda *cuda = probe_cuda();
    CUdevice handle = 0;
    CUresult result = cuda->device_get(&handle, device.ordinal);
    if (result == CUDA_SUCCESS)
        result = cuda->device_total(&t.device_total, handle);
    if (result == CUDA_SUCCESS)
        result = probe_use(device.ordinal);
    if (result == CUDA_SUCCESS)
        result = cuda->mem_info(&t.info_free, &t.info_total);
    if (result != CUDA_SUCCESS) {
        print_result("totals", 0, result);
        exit(STATUS_UNEXPECTED);
    }
    t.has_nvml = probe_nvml_memory(device.uuid, &t.nvml, &t.nvml_error);
    return t;
}

static void step_info(void)
{
    int count = probe_device_count();
    printf("{\"step\":\"info\",\"devices\":[");
    for (int i = 0; i < count; i++) {
        struct probe_device device = probe_device(i);
        struct totals t = read_totals(device);
        printf("%s{\"ordinal\":%d,\"uuid\":\"%s\",\"totalMiB\":%zu,\"infoTotalMiB\":%zu,"
               "\"infoFreeMiB\":%zu",
               i == 0 ? "" : ",", i, device.uuid, t.device_total / mib, t.info_total / mib,
               t.info_free / mib);
        if (t.has_nvml)
            printf(",\"nvmlTotalMiB\":%llu,\"nvmlFreeMiB\":%llu,\"nvmlUsedMiB\":%llu}",
                   t.nvml.total / mib, t.nvml.free / mib, t.nvml.used / mib);
        else
            printf(",\"nvmlError\":\"%s\"}", t.nvml_error);
    }
    printf("]}\n");
}

static CUresult take(enum way way, size_t bytes, int device, unsigned long long *address)
{
    const struct probe_cuda *cuda = probe_cuda();
    CUresult result = probe_use(device);
    if (result != CUDA_SUCCESS)
        return result;
    size_t pitch = 0;
    CUmemAllocationProp prop = {.type = 1, .location_type = 1, .location_id = device};
    switch (way) {
    case WAY_ALLOC:
        return cuda->mem_alloc(address, bytes);
    case WAY_MANAGED:
        return cuda->mem_managed(address, bytes, 1 /* global */);
    case WAY_PITCH: /* rows of 1 MiB, which every pitch divides */
        return cuda->mem_pitch(address, &pitch, mib, bytes / mib, 4);
    case WAY_CREATE:
        return cuda->mem_create(address, bytes, &prop, 0);
    case WAY_ASYNC:
        return cuda->mem_alloc_async(address, bytes, NULL);
    }
    return CUDA_SUCCESS;
}

static void step_take(const char *step, enum way way, size_t bytes, int device)
{
    if (kept_count == MAX_KEPT)
        usage(step, "keeps 4096 allocations at most");
    struct kept k = {.way = way, .bytes = bytes};
    last_result = take(way, bytes, device, &k.address);
    if (last_result == CUDA_SUCCESS)
        kept[kept_count++] = k;
    print_result(step, bytes, last_result);
}

static void step_free(void)
{
    if (kept_count == 0)
        usage("free", "nothing is allocated");
    struct kept k = kept[--kept_count];
    const struct probe_cuda *cuda = probe_cuda();
    if (k.way == WAY_CREATE)
        last_result = cuda->mem_release(k.address);
    else if (k.way == WAY_ASYNC)
        last_result = cuda->mem_free_async(k.address, NULL);
    else
        last_result = cuda->mem_free(k.address);
    print_result("free", k.bytes, last_result);
}

static void step_touch(void)
{
    if (kept_count == 0 || kept[kept_count - 1].way == WAY_CREATE)
        usage("touch", "no mapped allocation is kept");
    struct kept k = kept[kept_count - 1];
    last_result = probe_cuda()->memset8(k.address, 1, k.bytes < mib ? k.bytes : mib);
    print_result("touch", k.bytes, last_result);
}

static void step_expect(const char *step, CUresult want)
{
    if (last_result == want)
        return;
    printf("{\"step\":\"%s\",\"error\":\"last result was %s\"}\n", step,
           last_result == CUDA_SUCCESS ? "CUDA_SUCCESS" : probe_error_name(last_result));
    exit(STATUS_UNEXPECTED);
}

static void step_expect_total(size_t want)
{
    int count = probe_device_count();
    for (int i = 0; i < count; i++) {
        struct totals t = read_totals(probe_device(i));
        if (t.device_total / mib == want && t.info_total / mib == want && t.has_nvml &&
            t.nvml.total / mib == want)
            continue;
        printf("{\"step\":\"expect-total\",\"error\":\"device %d has %zu MiB by cuDeviceTotalMem, "
               "%zu by "
               "cuMemGetInfo, %llu by NVML, want %zu\"}\n",
               i, t.device_total / mib, t.info_total / mib, t.nvml.total / mib, want);
        exit(STATUS_UNEXPECTED);
    }
}

static void step_expect_devices(unsigned long want)
{
    int count = probe_device_count();
    if ((unsigned long)count == want)
        return;
    printf("{\"step\":\"expect-devices\",\"error\":\"%d devices are visible, want %lu\"}\n", count,
           want);
    exit(STATUS_UNEXPECTED);
}

static void step_env(void)
{
    printf("{\"step\":\"env\",\"environment\":[");
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        if (e != environ)
            putchar(',');
        print_quoted(*e);
    }
    printf("]}\n");
}

static void step_hold(const sigset_t *ends)
{
    int signal_number = 0;
    printf("{\"step\":\"hold\"}\n");
    fflush(stdout);
    sigwait(ends, &signal_number);
    exit(0);
}

static void step_exec(const char *self, char **rest, const sigset_t *ends)
{
    fflush(stdout);
    sigprocmask(SIG_UNBLOCK, ends, NULL);
    rest[0] = (char *)self;
    execv("/proc/self/exe", rest);
    usage("exec", "cannot run /proc/self/exe");
}

static bool is_take(const char *step, enum way *way)
{
    static const char *const names[] = {"alloc", "managed", "pitch", "create", "async"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(step, names[i]) == 0) {
            *way = (enum way)i;
            return true;
        }
    }
    return false;
}

/* Steps with a number; returns how many arguments were used, 0 if the step is another. */
static int run_with_number(const char *step, char **arguments)
{
    enum way way;
    if (is_take(step, &way)) {
        size_t bytes = number(step, arguments[0]) * mib;
        bool has_device = is_number(arguments[1]);
        step_take(step, way, bytes, has_device ? (int)number(step, arguments[1]) : 0);
        return has_device ? 3 : 2;
    }
    if (strcmp(step, "expect-total") == 0)
        step_expect_total(number(step, arguments[0]));
    else if (strcmp(step, "expect-devices") == 0)
        step_expect_devices(number(step, arguments[0]));
    else if (strcmp(step, "sleep") == 0)
        sleep((unsigned)number(step, arguments[0]));
    else
        return 0;
    return 2;
}

static void run_plain(const char *self, const char *step, char **argument, const sigset_t *ends)
{
    if (strcmp(step, "info") == 0)
        step_info();
    else if (strcmp(step, "free") == 0)
        step_free();
    else if (strcmp(step, "touch") == 0)
        step_touch();
    else if (strcmp(step, "expect-ok") == 0)
        step_expect(step, CUDA_SUCCESS);
    else if (strcmp(step, "expect-oom") == 0)
        step_expect(step, CUDA_ERROR_OUT_OF_MEMORY);
    else if (strcmp(step, "env") == 0)
        step_env();
    else if (strcmp(step, "unsetenv") == 0)
        clearenv();
    else if (strcmp(step, "hold") == 0)
        step_hold(ends);
    else if (strcmp(step, "exec") == 0)
        step_exec(self, argument, ends);
    else
        usage(step, "is no step");
}

int main(int argc, char **argv)
{
    /* SIGTERM ends a sleep at once and is what hold waits for, also when this is pid 1. */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    bool holds = false;
    for (int i = 1; i < argc; i++)
        holds = holds || strcmp(argv[i], "hold") == 0;
    if (holds)
        sigprocmask(SIG_BLOCK, &ends, NULL);
    for (int i = 1; i < argc;) {
        int used = run_with_number(argv[i], argv + i + 1);
        if (used == 0) {
            run_plain(argv[0], argv[i], argv + i, &ends);
            used = 1;
        }
        fflush(stdout);
        i += used;
    }
    return 0;
}
