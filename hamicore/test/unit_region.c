/* Tests of the region: charging by many processes, and their deaths. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "hc_region.h"

static void attach(const char *dir)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/region", dir);
    CHECK_EQ(0, hc_region_open(path));
}

static uint64_t sum_of_slots(const struct hc_region *r)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < HC_MAX_SLOTS; i++)
        sum += __atomic_load_n(&r->slots[i].used_bytes[0], __ATOMIC_SEQ_CST);
    return sum;
}

static void charges_to_the_byte(const char *dir)
{
    write_files(dir, 1, 0);
    attach(dir);
    CHECK_EQ(0, hc_region_charge(0, 600, 1000));
    CHECK_EQ(ENOMEM, hc_region_charge(0, 401, 1000));
    CHECK_EQ(0, hc_region_charge(0, 400, 1000));
    CHECK_EQ(ENOMEM, hc_region_charge(0, 1, 1000));
    CHECK_EQ(ENOMEM, hc_region_charge(0, UINT64_MAX, 1000));
    CHECK_EQ(ENOMEM, hc_region_charge(0, UINT64_MAX - 500, UINT64_MAX - 1));
    hc_region_uncharge(0, 400);
    CHECK_EQ(600, hc_region_used(0));
    CHECK_EQ(0, hc_region_used(1));
}

/* Charges and gives back at random until killed, or for some rounds. */
static void hammer(const struct hc_region *seen, uint64_t limit, unsigned seed, int rounds)
{
    uint64_t held[16] = {0};

    for (int i = 0; rounds == 0 || i < rounds; i++) {
        unsigned at = (unsigned)rand_r(&seed) % 16;

        CHECK(__atomic_load_n(&seen->cards[0].used_bytes, __ATOMIC_SEQ_CST) <= limit);
        if (held[at] != 0) {
            hc_region_uncharge(0, held[at]);
            held[at] = 0;
        } else {
            uint64_t bytes = (uint64_t)(rand_r(&seed) % 100 + 1) * MIB;

            held[at] = hc_region_charge(0, bytes, limit) == 0 ? bytes : 0;
        }
    }
    for (int i = 0; i < 16; i++)
        hc_region_uncharge(0, held[i]);
}

static void processes_never_exceed(const char *dir)
{
    struct hc_region *seen;
    int pids[4];

    write_files(dir, 1, 0);
    seen = map_region(dir);
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            attach(dir);
            hammer(seen, 1000 * MIB, (unsigned)i, 100000);
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++)
        wait_ok(pids[i]);
    CHECK_EQ(0, seen->cards[0].used_bytes);
}

static void killed_at_any_time_leave_nothing(const char *dir)
{
    struct hc_region *seen;
    unsigned seed = 7;
    int pids[6] = {0};

    write_files(dir, 1, 0);
    seen = map_region(dir);
    attach(dir);
    for (int round = 0; round < 300; round++) {
        int at = round % 6;

        if (pids[at] != 0) {
            CHECK(kill(pids[at], SIGKILL) == 0);
            CHECK(waitpid(pids[at], NULL, 0) == pids[at]);
        }
        pids[at] = fork();
        if (pids[at] == 0) {
            hc_region_after_fork();
            hammer(seen, 2000 * MIB, (unsigned)round, 0);
        }
        usleep((unsigned)rand_r(&seed) % 2000); /* the random moment of the next kill */
        hc_region_reap();
    }
    for (int at = 0; at < 6; at++) {
        CHECK(kill(pids[at], SIGKILL) == 0);
        CHECK(waitpid(pids[at], NULL, 0) == pids[at]);
    }
    hc_region_reap();
    CHECK_EQ(0, seen->cards[0].used_bytes);
    CHECK_EQ(0, sum_of_slots(seen));
    CHECK_EQ(0, seen->dirty);
    CHECK(seen->slots_reaped >= 250);
}

/* A death between the card and the slot, in either direction, and one of a reaper. */
static void repairs_half_done_changes(const char *dir)
{
    struct hc_region *seen;
    int pid;

    write_files(dir, 1, 0);
    seen = map_region(dir);
    attach(dir);
    CHECK_EQ(0, hc_region_charge(0, 100, 1000));
    pid = fork();
    if (pid == 0) {
        hc_region_after_fork();
        CHECK_EQ(0, hc_region_charge(0, 200, 1000));
        seen->slots[1].transactions++; /* inside a transaction: the card is changed, the slot not */
        seen->cards[0].used_bytes += 50;
        _exit(0);
    }
    wait_ok(pid);
    CHECK_EQ(350, hc_region_used(0));
    CHECK(hc_region_reap() > 0);
    CHECK_EQ(100, hc_region_used(0));
    seen->cards[0].used_bytes += 70; /* a reaper died after it had emptied a slot */
    seen->dirty = 1;
    hc_region_reap();
    CHECK_EQ(100, hc_region_used(0));
    CHECK_EQ(0, seen->dirty);
}

/* Neither a zombie's memory nor that of an earlier image of the same process stays charged; a live
 * process that has closed all its files keeps its own. */
static void tells_the_dead_from_the_living(const char *dir)
{
    struct hc_region *seen;
    int ready[2], go[2], pid;
    siginfo_t info;
    char byte;

    write_files(dir, 1, 0);
    seen = map_region(dir);
    CHECK(pipe(ready) == 0 && pipe(go) == 0);
    pid = fork();
    if (pid == 0) {
        attach(dir);
        CHECK_EQ(0, hc_region_charge(0, 500, 1000));
        for (int fd = 3; fd < 64; fd++) { /* as daemons do: the lock is gone */
            if (fd != ready[1] && fd != go[0])
                close(fd);
        }
        CHECK(write(ready[1], "x", 1) == 1 && read(go[0], &byte, 1) == 1);
        _exit(0);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    attach(dir);
    CHECK_EQ(0, hc_region_reap());
    CHECK_EQ(500, hc_region_used(0));
    CHECK(write(go[1], "x", 1) == 1);
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0); /* a zombie from here on */
    CHECK_EQ(1, hc_region_reap());
    CHECK_EQ(0, hc_region_used(0));
    wait_ok(pid);
    CHECK_EQ(0, sum_of_slots(seen));
}

static void start_time_tells_reused_pids(const char *dir)
{
    struct hc_region *seen;

    write_files(dir, 1, 0);
    seen = map_region(dir);
    /* A slot of the parent's pid with another start time: its owner is long gone. */
    seen->slots[5].owner = (uint64_t)HC_SLOT_LIVE << 32 | (uint32_t)getppid();
    seen->slots[5].start_time = 1;
    seen->slots[5].used_bytes[0] = 300;
    seen->cards[0].used_bytes = 300;
    attach(dir);
    CHECK_EQ(1, hc_region_reap());
    CHECK_EQ(0, hc_region_used(0));
}

static void full_table_refuses(const char *dir)
{
    struct hc_region *seen;

    write_files(dir, 1, 0);
    seen = map_region(dir);
    for (uint32_t i = 0; i < HC_MAX_SLOTS; i++)
        seen->slots[i].owner = (uint64_t)HC_SLOT_LIVE << 32 | (uint32_t)getppid();
    attach(dir);
    CHECK_EQ(ENOSPC, hc_region_charge(0, 1, 1000));
    CHECK_EQ(0, hc_region_used(0));
    CHECK(seen->slots_exhausted > 0);
    seen->slots[77].owner = 0;
    CHECK_EQ(0, hc_region_charge(0, 1, 1000));
}

static void private_without_a_file(const char *dir)
{
    int pid;

    (void)dir;
    CHECK_EQ(ENOENT, hc_region_open("/nonexistent/region"));
    CHECK_EQ(0, hc_region_charge(0, 900, 1000));
    CHECK_EQ(ENOMEM, hc_region_charge(0, 101, 1000));
    pid = fork();
    if (pid == 0) {
        hc_region_after_fork();
        CHECK_EQ(0, hc_region_used(0));
        CHECK_EQ(0, hc_region_charge(0, 1000, 1000));
        _exit(0);
    }
    wait_ok(pid);
}

static struct hc_region *thread_region;

static void *hammer_thread(void *arg)
{
    hammer(thread_region, 1000 * MIB, (unsigned)(uintptr_t)arg, 20000);
    return NULL;
}

static void threads_share_a_slot(const char *dir)
{
    pthread_t threads[6];

    write_files(dir, 1, 0);
    thread_region = map_region(dir);
    attach(dir);
    for (uintptr_t i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer_thread, (void *)i) == 0);
    for (int i = 0; i < 6; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(0, thread_region->cards[0].used_bytes);
    CHECK_EQ(0, sum_of_slots(thread_region));
    CHECK_EQ(0, (uint32_t)thread_region->slots[0].transactions);
}

const struct test region_tests[] = {
    {"a card is charged up to its limit to the byte", charges_to_the_byte},
    {"four racing processes never exceed the limit", processes_never_exceed},
    {"processes killed at any instruction leave nothing charged", killed_at_any_time_leave_nothing},
    {"half-done changes of the dead are repaired", repairs_half_done_changes},
    {"zombies are dead, and daemons without files alive", tells_the_dead_from_the_living},
    {"a reused pid is told by its start time", start_time_tells_reused_pids},
    {"a full slot table refuses, until a slot is free", full_table_refuses},
    {"without a file the limit holds for the process", private_without_a_file},
    {"threads share their process's slot", threads_share_a_slot},
    {NULL, NULL},
};
