/* Owns the mapping of the state file and every rule about process slots and physical memory. */
#include "node.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomics.h"

/* A card near its end is asked this often before a charge fails: others may be rolling back. */
#define CHARGE_TRIES 4

/* Excludes the threads of this process, which file locks do not. */
static pthread_mutex_t reap_mu = PTHREAD_MUTEX_INITIALIZER;

static int lock_op(int fd, int command, short type, long byte, struct flock *answer)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    while (fcntl(fd, command, &fl) != 0) {
        if (errno != EINTR)
            return errno;
    }
    if (answer != NULL)
        *answer = fl;
    return 0;
}

const char *fg_state_path(void)
{
    const char *path = getenv("FAKEGPU_STATE");

    return path != NULL && path[0] != '\0' ? path : FG_DEFAULT_STATE;
}

static int can_open(const char *dir, uint32_t minor_number)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s/nvidia%u", dir, minor_number) >= (int)sizeof(path))
        return 0;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return 0;
    close(fd);
    return 1;
}

/* The device files of the driver's own root: "dev" beside the "lib" that this library is in. */
static int root_can_open(uint32_t minor_number)
{
    char dir[PATH_MAX];
    Dl_info self;

    if (dladdr((const void *)fg_node_open, &self) == 0 || self.dli_fname == NULL)
        return 0;
    const char *slash = strrchr(self.dli_fname, '/');
    if (slash == NULL || snprintf(dir, sizeof(dir), "%.*s/../dev", (int)(slash - self.dli_fname),
                                  self.dli_fname) >= (int)sizeof(dir))
        return 0;
    return can_open(dir, minor_number);
}

static int node_file_usable(const struct fg_card *card)
{
    const char *dir = getenv("FAKEGPU_DEV");

    if (dir != NULL && dir[0] != '\0')
        return can_open(dir, card->minor_number);
    return can_open("/dev", card->minor_number) || root_can_open(card->minor_number);
}

static void find_visible(struct fg_node *n)
{
    for (uint32_t i = 0; i < n->state->card_count; i++) {
        if (n->state->require_nodes == 0 || node_file_usable(&n->state->cards[i]))
            n->card_index[n->card_count++] = i;
    }
}

static int state_is_valid(const struct fg_state *s)
{
    return s->magic == FG_MAGIC && s->major == FG_MAJOR &&
           s->header_bytes == offsetof(struct fg_state, events) &&
           s->card_bytes == sizeof(struct fg_card) && s->slot_bytes == sizeof(struct fg_slot) &&
           s->card_count <= FG_MAX_CARDS && s->slot_count == FG_MAX_SLOTS;
}

int fg_node_open(struct fg_node *out)
{
    struct stat st;
    void *map;
    int err = 0;
    int fd = open(fg_state_path(), O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof(struct fg_state)) {
        err = ENODEV;
        goto out;
    }
    map = mmap(NULL, sizeof(struct fg_state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        err = errno;
        goto out;
    }
    if (!state_is_valid(map)) {
        munmap(map, sizeof(struct fg_state));
        err = EPROTO;
        goto out;
    }
    *out = (struct fg_node){.state = map, .fd = fd};
    find_visible(out);
    return 0;
out:
    close(fd);
    return err;
}

void fg_node_close(struct fg_node *n)
{
    munmap(n->state, sizeof(struct fg_state));
    close(n->fd);
    *n = (struct fg_node){0};
}

static void slot_empty(struct fg_state *s, uint32_t slot)
{
    struct fg_slot *p = &s->slots[slot];

    /* Relaxed: a reader that still sees old counts sees a process that has just died. */
    for (uint32_t c = 0; c < FG_MAX_CARDS; c++) {
        fg_store64_relaxed(&s->used[c][slot], 0);
        fg_store32_relaxed(&p->contexts[c], 0);
    }
    /* release: the counters are zero before the slot looks empty; pairs with reap_locked's acquire.
     */
    fg_store32_release(&p->pid, 0);
}

static void raise_top(struct fg_state *s, uint32_t top)
{
    uint32_t old = fg_load32_relaxed(&s->slot_top);

    while (old < top && !atomic_compare_exchange_weak(&s->slot_top, &old, top))
        ;
}

int fg_slot_claim(const struct fg_node *n, uint32_t *slot)
{
    struct fg_state *s = n->state;

    for (uint32_t i = 0; i < FG_MAX_SLOTS; i++) {
        struct fg_slot *p = &s->slots[i];

        if (lock_op(n->fd, F_SETLK, F_WRLCK, FG_LOCK_SLOT0 + (long)i, NULL) != 0)
            continue;
        slot_empty(s, i);
        memset(p->comm, 0, sizeof(p->comm));
        prctl(PR_GET_NAME, p->comm);
        /* Before any charge: sums look only below the top. */
        raise_top(s, i + 1);
        fg_store32_release(&p->pid, (uint32_t)getpid());
        *slot = i;
        return 0;
    }
    return EAGAIN;
}

static int slot_is_held(const struct fg_node *n, uint32_t slot, int *pid)
{
    struct flock fl = {.l_type = F_WRLCK};

    /* The open-file-description question also sees the locks of the asking process itself. */
    if (lock_op(n->fd, F_OFD_GETLK, F_WRLCK, FG_LOCK_SLOT0 + (long)slot, &fl) != 0)
        return 1;
    if (fl.l_type == F_UNLCK)
        return 0;
    *pid = fl.l_pid > 0 ? fl.l_pid : 0;
    return 1;
}

int fg_slot_owner(const struct fg_node *n, uint32_t slot)
{
    int pid = 0;

    return slot_is_held(n, slot, &pid) ? pid : 0;
}

/* Precondition: reap_mu is held. */
static void reap_locked(const struct fg_node *n)
{
    struct fg_state *s = n->state;
    uint32_t top = fg_load32_acquire(&s->slot_top);

    for (uint32_t i = 0; i < top && i < FG_MAX_SLOTS; i++) {
        long byte = FG_LOCK_SLOT0 + (long)i;
        int pid = 0;

        /* acquire: pairs with the releases of slot_empty and fg_slot_claim. */
        if (fg_load32_acquire(&s->slots[i].pid) == 0 || slot_is_held(n, i, &pid))
            continue;
        /* Only under the lock: a new owner may have come between question and answer. */
        if (lock_op(n->fd, F_OFD_SETLK, F_WRLCK, byte, NULL) != 0)
            continue;
        slot_empty(s, i);
        lock_op(n->fd, F_OFD_SETLK, F_UNLCK, byte, NULL);
    }
}

void fg_reap(const struct fg_node *n)
{
    /* A reap under way in another thread is as good as ours, and a forked child must not hang. */
    if (pthread_mutex_trylock(&reap_mu) != 0)
        return;
    reap_locked(n);
    pthread_mutex_unlock(&reap_mu);
}

uint64_t fg_card_used(const struct fg_node *n, uint32_t card)
{
    const struct fg_state *s = n->state;
    uint32_t top = fg_load32_acquire(&s->slot_top);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < top && i < FG_MAX_SLOTS; i++)
        sum += fg_load64_seqcst(&s->used[card][i]);
    return sum;
}

/*
 * Add first, then look: of two processes that race for the last bytes both may fail, but never can
 * both succeed. seq_cst orders each one's add before its own sum.
 */
static int try_charge(const struct fg_node *n, uint32_t card, uint32_t slot, uint64_t bytes)
{
    _Atomic uint64_t *mine = &n->state->used[card][slot];

    fg_add64_seqcst(mine, bytes);
    if (fg_card_used(n, card) <= n->state->cards[card].memory_bytes)
        return 0;
    fg_sub64_seqcst(mine, bytes);
    return ENOMEM;
}

int fg_charge(const struct fg_node *n, uint32_t card, uint32_t slot, uint64_t bytes)
{
    long byte = FG_LOCK_CARD0 + (long)card;
    int err;

    if (bytes > n->state->cards[card].memory_bytes)
        return ENOMEM;
    if (try_charge(n, card, slot, bytes) == 0)
        return 0;
    /* One loser at a time, so that of two that race for the last bytes one gets them. */
    pthread_mutex_lock(&reap_mu);
    err = fg_lock(n, byte);
    if (err != 0)
        goto out;
    reap_locked(n);
    for (int i = 0; (err = try_charge(n, card, slot, bytes)) != 0 && i < CHARGE_TRIES; i++)
        sched_yield();
    fg_unlock(n, byte);
out:
    pthread_mutex_unlock(&reap_mu);
    return err == 0 ? 0 : ENOMEM;
}

void fg_uncharge(const struct fg_node *n, uint32_t card, uint32_t slot, uint64_t bytes)
{
    fg_sub64_seqcst(&n->state->used[card][slot], bytes);
}

int fg_lock(const struct fg_node *n, long byte)
{
    return lock_op(n->fd, F_OFD_SETLKW, F_WRLCK, byte, NULL);
}

void fg_unlock(const struct fg_node *n, long byte)
{
    lock_op(n->fd, F_OFD_SETLK, F_UNLCK, byte, NULL);
}

/* Not FUTEX_PRIVATE: waiter and waker are different processes. */
void fg_event_wait(const struct fg_node *n, uint32_t seen, const struct timespec *deadline)
{
    syscall(SYS_futex, &n->state->event_count, FUTEX_WAIT_BITSET, seen, deadline, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

void fg_event_wake(const struct fg_node *n)
{
    syscall(SYS_futex, &n->state->event_count, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
