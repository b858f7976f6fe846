/* Owns the system calls; see the header for the rules. */
#define _GNU_SOURCE
#include "hc_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "hc_atomic.h"

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

/* syscall(2) with an error number as result, errno untouched. */
static int call(long *result, long number, long a, long b, long c, long d, long e, long f)
{
    int saved = errno, failed;
    long r = syscall(number, a, b, c, d, e, f);

    failed = r == -1 ? errno : 0;
    errno = saved;
    if (result != NULL)
        *result = r;
    return failed;
}

int hc_sys_open(const char *path, bool writable, int *fd)
{
    long r = -1;
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
    int failed = call(&r, SYS_openat, AT_FDCWD, (long)path, flags, 0, 0, 0);

    *fd = (int)r;
    return failed;
}

void hc_sys_close(int fd)
{
    call(NULL, SYS_close, fd, 0, 0, 0, 0, 0);
}

int hc_sys_size(int fd, uint64_t *bytes)
{
    struct stat st;
    int failed = call(NULL, SYS_fstat, fd, (long)&st, 0, 0, 0, 0);

    *bytes = failed == 0 ? (uint64_t)st.st_size : 0;
    return failed;
}

int hc_sys_file_id(int fd, struct hc_file_id *id)
{
    struct stat st;
    int failed = call(NULL, SYS_fstat, fd, (long)&st, 0, 0, 0, 0);

    if (failed == 0)
        *id = (struct hc_file_id){.device = st.st_dev, .inode = st.st_ino};
    return failed;
}

#ifdef __SANITIZE_THREAD__
/* The sanitizer must see that memory comes and goes, or it takes a reused address for a race. */
static int map(int fd, size_t bytes, int protection, int flags, void **out)
{
    void *at = mmap(NULL, bytes, protection, flags, fd, 0);

    *out = at == MAP_FAILED ? NULL : at;
    return at == MAP_FAILED ? errno : 0;
}

void hc_sys_unmap(void *at, size_t bytes)
{
    munmap(at, bytes);
}
#else
static int map(int fd, size_t bytes, int protection, int flags, void **out)
{
    long r = 0;
    int failed = call(&r, SYS_mmap, 0, (long)bytes, protection, flags, fd, 0);

    *out = failed == 0 ? (void *)r : NULL;
    return failed;
}

void hc_sys_unmap(void *at, size_t bytes)
{
    call(NULL, SYS_munmap, (long)at, (long)bytes, 0, 0, 0, 0);
}
#endif

int hc_sys_map_file(int fd, size_t bytes, bool writable, void **out)
{
    return map(fd, bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, out);
}

int hc_sys_map_memory(size_t bytes, void **out)
{
    return map(-1, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, out);
}

static int set_lock(int fd, uint64_t byte, short type)
{
    struct flock lock;

    memset(&lock, 0, sizeof(lock));
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = (off_t)byte;
    lock.l_len = 1;
    return call(NULL, SYS_fcntl, fd, F_OFD_SETLK, (long)&lock, 0, 0, 0);
}

int hc_sys_try_lock(int fd, uint64_t byte)
{
    return set_lock(fd, byte, F_WRLCK);
}

void hc_sys_unlock(int fd, uint64_t byte)
{
    set_lock(fd, byte, F_UNLCK);
}

uint32_t hc_sys_pid(void)
{
    long r = 0;

    /* Raw: old libcs cache the pid and are wrong after clone(2). */
    call(&r, SYS_getpid, 0, 0, 0, 0, 0, 0);
    return (uint32_t)r;
}

struct process_stat {
    char state;
    uint64_t threads, start_time;
};

/* "/proc/<pid>/stat" without stdio. */
static void stat_path(uint32_t pid, char path[32])
{
    char digits[10];
    size_t n = 0, at = 6;

    memcpy(path, "/proc/", 6);
    do {
        digits[n++] = (char)('0' + pid % 10);
        pid /= 10;
    } while (pid != 0);
    while (n > 0)
        path[at++] = digits[--n];
    memcpy(path + at, "/stat", 6);
}

static uint64_t number_at(const char **text)
{
    uint64_t value = 0;

    for (; **text >= '0' && **text <= '9'; (*text)++)
        value = value * 10 + (uint64_t)(**text - '0');
    return value;
}

/* Fields 3, 20 and 22. The name (field 2) may contain anything, so the last ')' starts the count.
 */
static bool stat_parse(const char *text, struct process_stat *out)
{
    const char *p = strrchr(text, ')');

    if (p == NULL || p[1] != ' ' || p[2] == '\0')
        return false;
    out->state = p[2];
    p += 3;
    for (int field = 4; field <= 22; field++) {
        if (*p != ' ')
            return false;
        p++;
        if (field == 20)
            out->threads = number_at(&p);
        else if (field == 22)
            out->start_time = number_at(&p);
        else
            while (*p != ' ' && *p != '\0')
                p++;
    }
    return out->start_time != 0;
}

static bool stat_read(uint32_t pid, struct process_stat *out)
{
    char path[32], text[1024];
    long got = 0;
    int fd, failed;

    stat_path(pid, path);
    if (hc_sys_open(path, false, &fd) != 0)
        return false;
    failed = call(&got, SYS_read, fd, (long)text, sizeof(text) - 1, 0, 0, 0);
    hc_sys_close(fd);
    if (failed != 0 || got <= 0)
        return false;
    text[got] = '\0';
    return stat_parse(text, out);
}

uint64_t hc_sys_start_time(uint32_t pid)
{
    struct process_stat s;

    return stat_read(pid, &s) ? s.start_time : 0;
}

bool hc_sys_is_dead(uint32_t pid, uint64_t start_time)
{
    struct process_stat s;

    if (call(NULL, SYS_kill, pid, 0, 0, 0, 0, 0) == ESRCH)
        return true;
    if (!stat_read(pid, &s)) /* hidden /proc, or gone this moment: in doubt alive */
        return false;
    if (start_time != 0 && s.start_time != start_time)
        return true;
    /* A zombie has closed its files. One whose other threads still run counts them here. */
    return (s.state == 'Z' || s.state == 'X') && s.threads <= 1;
}

uint64_t hc_sys_coarse_ms(void)
{
    struct timespec t = {0};

    /* Cannot fail with a clock that every kernel has, so errno is safe. */
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void hc_sys_sleep_us(uint32_t us)
{
    struct timespec t = {.tv_nsec = (long)us * 1000};

    call(NULL, SYS_nanosleep, (long)&t, 0, 0, 0, 0, 0);
}

void hc_sys_message(const char *const *parts)
{
    struct iovec v[12];
    size_t n = 0;

    v[n++] = (struct iovec){.iov_base = (void *)"basalt: ", .iov_len = 8};
    for (; *parts != NULL && n < 11; parts++)
        v[n++] = (struct iovec){.iov_base = (void *)*parts, .iov_len = strlen(*parts)};
    v[n++] = (struct iovec){.iov_base = (void *)"\n", .iov_len = 1};
    call(NULL, SYS_writev, 2, (long)v, (long)n, 0, 0, 0);
}

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}

void hc_lock_wait(struct hc_lock *l)
{
    for (uint32_t tries = 0;; tries++) {
        uint32_t free_word = 0;

        /* relaxed: only a hint. acquire: pairs with the release in hc_unlock. */
        if (hc_load_relaxed32(&l->word) == 0 && hc_cas_acquire32(&l->word, &free_word, 1))
            return;
        if (tries < 100)
            pause_briefly();
        else if (tries < 110)
            call(NULL, SYS_sched_yield, 0, 0, 0, 0, 0, 0);
        else /* the holder is preempted, perhaps by us at a higher priority */
            hc_sys_sleep_us(50);
    }
}
