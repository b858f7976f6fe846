/* Runs the unit tests, each in a child process with fresh files. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "hc_region.h"

static void write_file(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "wb");
    CHECK(f != NULL);
    CHECK(fwrite(bytes, 1, size, f) == size);
    CHECK(fclose(f) == 0);
}

void write_files(const char *dir, uint64_t limit_bytes, uint64_t context_bytes)
{
    static struct hc_agent_page page;
    static struct hc_region region;

    page = (struct hc_agent_page){.magic = HC_AGENT_MAGIC,
                                  .major = HC_ABI_MAJOR,
                                  .header_size = offsetof(struct hc_agent_page, devices),
                                  .device_size = sizeof(struct hc_agent_device),
                                  .device_count = 1,
                                  .total_size = HC_AGENT_PAGE_SIZE,
                                  .sequence = 2};
    strcpy(page.devices[0].uuid, "GPU-00000000-1111-2222-3333-444444444444");
    page.devices[0].limit_bytes = limit_bytes;
    page.devices[0].context_bytes = context_bytes;
    hc_region_format(&region);
    write_file(dir, "limits", &page, sizeof(page));
    write_file(dir, "region", &region, sizeof(region));
}

struct hc_region *map_region(const char *dir)
{
    char path[512];
    void *at;
    int fd;

    snprintf(path, sizeof(path), "%s/region", dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    at = mmap(NULL, HC_REGION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED);
    close(fd);
    return at;
}

void wait_ok(int pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int run(const struct test *t, const char *dir)
{
    int status, pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(120); /* a hang is a failure */
        t->run(dir);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    printf("%s: %s\n", status == 0 ? "ok" : "FAIL", t->name);
    return status != 0;
}

int main(void)
{
    const struct test *const all[] = {map_tests, region_tests, account_tests};
    char dir[] = "/tmp/hc-unit-XXXXXX", command[64];
    int failed = 0;

    CHECK(mkdtemp(dir) != NULL);
    setenv("HC_TEST_DIR", dir, 1);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (const struct test *t = all[i]; t->name != NULL; t++)
            failed += run(t, dir);
    }
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) != 0 || failed != 0;
}
