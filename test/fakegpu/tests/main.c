/* Runs the tests: main PATH-OF-OUT [behaviour]. Owns the helpers that check.h declares. */
#include "check.h"

#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SECONDS 10

struct test_api api;
void *cuda_library;
static const char *out;
static char state_path[] = "/tmp/fakegpu-test-XXXXXX";

void check(int ok, const char *text, const char *file, int line, long long got, long long want)
{
    if (ok)
        return;
    if (got != want)
        printf("    %s:%d: %s is %lld, want %lld\n", file, line, text, got, want);
    else
        printf("    %s:%d: %s does not hold\n", file, line, text);
    fflush(stdout);
    _exit(1);
}

void check_eq(long long got, long long want, const char *text, const char *file, int line)
{
    check(got == want, text, file, line, got, want);
}

static void *open_library(const char *name)
{
    char path[4096];
    void *library;

    snprintf(path, sizeof(path), "%s/lib/%s", out, name);
    library = dlopen(path, RTLD_NOW);
    if (library == NULL) {
        printf("%s\n", dlerror());
        exit(2);
    }
    return library;
}

static void load(void)
{
    void *nvml = open_library("libnvidia-ml.so.1");

    cuda_library = open_library("libcuda.so.1");
#define LOAD_CUDA(name, parameters) *(void **)&api.name = dlsym(cuda_library, #name);
#define LOAD_NVML(name, parameters) *(void **)&api.name = dlsym(nvml, #name);
    TEST_CUDA(LOAD_CUDA)
    TEST_NVML(LOAD_NVML)
#undef LOAD_CUDA
#undef LOAD_NVML
}

void use_device(int ordinal)
{
    CUcontext c;

    CHECK_EQ(api.cuInit(0), CUDA_SUCCESS);
    CHECK_EQ(api.cuDevicePrimaryCtxRetain(&c, ordinal), CUDA_SUCCESS);
    CHECK_EQ(api.cuCtxSetCurrent(c), CUDA_SUCCESS);
}

uint64_t used_now(void)
{
    size_t f, t;

    CHECK_EQ(api.cuMemGetInfo_v2(&f, &t), CUDA_SUCCESS);
    return t - f;
}

void wait_used(uint64_t bytes)
{
    time_t end = time(NULL) + WAIT_SECONDS;

    while (used_now() != bytes && time(NULL) < end)
        usleep(1000);
    CHECK_EQ(used_now(), bytes);
}

pid_t child_start(void (*run)(void))
{
    int fds[2];
    char c;
    pid_t pid;

    CHECK_EQ(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        run();
        CHECK_EQ(write(fds[1], "x", 1), 1);
        for (;;)
            pause();
    }
    close(fds[1]);
    CHECK_EQ(read(fds[0], &c, 1), 1);
    close(fds[0]);
    return pid;
}

void child_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

int child_run(int (*run)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(run());
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void ctl(const char *arguments)
{
    char command[8192];

    snprintf(command, sizeof(command), "'%s/bin/fakegpu-ctl' %s", out, arguments);
    CHECK_EQ(system(command), 0);
}

static int run_one(const struct test *t)
{
    char init[256];
    int status;

    snprintf(init, sizeof(init), "init --config cards.json %s", t->init);
    ctl(init);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        t->run();
        exit(0);
    }
    waitpid(pid, &status, 0);
    printf("%s  %s\n", status == 0 ? "ok  " : "FAIL", t->behaviour);
    return status != 0;
}

int main(int argc, char **argv)
{
    const struct test *suites[] = {memory_tests, process_tests, driver_tests, nvml_tests};
    int failed = 0;

    if (argc < 2)
        return 2;
    out = argv[1];
    close(mkstemp(state_path));
    setenv("FAKEGPU_STATE", state_path, 1);
    unsetenv("CUDA_VISIBLE_DEVICES");
    load();
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        for (const struct test *t = suites[i]; t->behaviour != NULL; t++) {
            if (argc < 3 || strstr(t->behaviour, argv[2]) != NULL)
                failed += run_one(t);
        }
    }
    unlink(state_path);
    printf("%s: %d failed\n", failed == 0 ? "PASS" : "FAIL", failed);
    return failed != 0;
}
