/*
 * Lowest layer: what the limiter asks of the kernel. Raw system calls, because libc's wrappers are
 * cancellation points, can be interposed by other preloaded libraries, and for some (stat) carry
 * symbol versions newer than glibc 2.17. Every call keeps errno and returns 0 or an error number.
 */
#ifndef HC_SYS_H
#define HC_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hc_atomic.h"

/* A file, as told apart from others by the kernel. */
struct hc_file_id {
    uint64_t device, inode;
};

int hc_sys_open(const char *path, bool writable, int *fd);
void hc_sys_close(int fd);
int hc_sys_size(int fd, uint64_t *bytes);
int hc_sys_file_id(int fd, struct hc_file_id *id);

/* Maps the first bytes of a file, shared. Precondition: the file has them. */
int hc_sys_map_file(int fd, size_t bytes, bool writable, void **out);
/* Zeroed private memory; not malloc, because hooks run where the caller may hold malloc's locks. */
int hc_sys_map_memory(size_t bytes, void **out);
void hc_sys_unmap(void *at, size_t bytes);

/* Open-file-description locks on one byte. try_lock returns EAGAIN where another holds it. */
int hc_sys_try_lock(int fd, uint64_t byte);
void hc_sys_unlock(int fd, uint64_t byte);

uint32_t hc_sys_pid(void);
/* Field 22 of /proc/pid/stat; 0 where it cannot be read. */
uint64_t hc_sys_start_time(uint32_t pid);
/* True only if proven: the pid is gone, is a zombie, or belongs to a later process. */
bool hc_sys_is_dead(uint32_t pid, uint64_t start_time);

/* Milliseconds of a monotonic clock with a resolution of a timer tick: a few nanoseconds to read.
 */
uint64_t hc_sys_coarse_ms(void);
void hc_sys_sleep_us(uint32_t us);

/* One line to stderr: the parts in order, up to a NULL. */
void hc_sys_message(const char *const *parts);

/* A lock for single map shards (held for nanoseconds) and for cold paths, where waiting by sleeping
 * is fine; a plain store to unlock makes it half as dear as one that keeps count of waiters. Not
 * recursive; never held around a driver call. A forked child sets it back to zero. */
struct hc_lock {
    uint32_t word; /* 0 free, 1 held */
};

void hc_lock_wait(struct hc_lock *l);

static inline void hc_lock(struct hc_lock *l)
{
    uint32_t free_word = 0;

    /* acquire: pairs with the release in hc_unlock. */
    if (__builtin_expect(!hc_cas_acquire32(&l->word, &free_word, 1), 0))
        hc_lock_wait(l);
}

static inline void hc_unlock(struct hc_lock *l)
{
    hc_store_release32(&l->word, 0); /* release: publishes what the lock guards */
}

#endif
