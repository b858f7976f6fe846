/* Tests of the account layer: the driver's granularity, contexts, pools, modes. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "hc_abi.h"
#include "hc_account.h"

static void rounds_as_the_driver(const char *dir)
{
    write_files(dir, 10 * MIB, 0);
    CHECK_EQ(HC_MODE_ON, hc_account_mode());
    CHECK_EQ(0, hc_account_take(0, MIB + 1));
    CHECK_EQ(2 * MIB, hc_account_used(0));
    CHECK_EQ(0, hc_account_take(0, 1));
    CHECK_EQ(4 * MIB, hc_account_used(0));
    CHECK_EQ(0, hc_account_take(0, MIB)); /* fits into the slab */
    CHECK_EQ(4 * MIB, hc_account_used(0));
    CHECK_EQ(0, hc_account_take(0, MIB)); /* 512 bytes too many for it */
    CHECK_EQ(6 * MIB, hc_account_used(0));
    CHECK_EQ(ENOMEM, hc_account_take(0, 4 * MIB + 1));
    CHECK_EQ(ENOMEM, hc_account_take(0, UINT64_MAX));
    CHECK_EQ(0, hc_account_take(0, 4 * MIB));
    CHECK_EQ(ENOMEM, hc_account_take(0, 2 * MIB));
    hc_account_give(0, MIB);
    hc_account_give(0, 512);
    hc_account_give(0, MIB);
    CHECK_EQ(6 * MIB, hc_account_used(0));
    hc_account_give(0, MIB + 512);
    hc_account_give(0, 4 * MIB);
    CHECK_EQ(0, hc_account_used(0));
}

static void *small_churn(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (int i = 0; i < 20000; i++) {
        uint64_t bytes = (uint64_t)rand_r(&seed) % MIB + 1;

        if (hc_account_take(0, bytes) == 0)
            hc_account_give(0, bytes);
    }
    return NULL;
}

static void slabs_survive_threads(const char *dir)
{
    pthread_t threads[6];

    write_files(dir, 6 * MIB, 0);
    CHECK_EQ(HC_MODE_ON, hc_account_mode());
    for (uintptr_t i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, small_churn, (void *)i) == 0);
    for (int i = 0; i < 6; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(0, hc_account_used(0));
}

static void charges_the_primary_once(const char *dir)
{
    uint64_t ticket;

    write_files(dir, 500 * MIB, 300 * MIB);
    CHECK_EQ(HC_MODE_ON, hc_account_mode());
    CHECK_EQ(0, hc_account_primary_enter(0));
    CHECK_EQ(300 * MIB, hc_account_used(0)); /* before the driver is asked */
    hc_account_primary_leave(0, false);
    CHECK_EQ(0, hc_account_used(0));
    CHECK_EQ(0, hc_account_primary_enter(0));
    CHECK_EQ(0, hc_account_primary_enter(0)); /* another thread */
    hc_account_primary_leave(0, true);
    hc_account_primary_leave(0, false);
    CHECK_EQ(300 * MIB, hc_account_used(0));
    ticket = hc_account_primary_ticket(0);
    CHECK_EQ(0, hc_account_primary_enter(0)); /* retained anew while the driver was asked */
    hc_account_primary_leave(0, true);
    CHECK(!hc_account_primary_ended(0, ticket));
    CHECK_EQ(300 * MIB, hc_account_used(0));
    CHECK(hc_account_primary_ended(0, hc_account_primary_ticket(0)));
    CHECK_EQ(0, hc_account_used(0));
    CHECK_EQ(0, hc_account_charge(0, 201 * MIB));
    CHECK_EQ(ENOMEM, hc_account_primary_enter(0));
}

static void settles_pools(const char *dir)
{
    uint64_t early, late;

    write_files(dir, 100 * MIB, 0);
    CHECK_EQ(HC_MODE_ON, hc_account_mode());
    CHECK_EQ(0, hc_account_charge(0, 2 * MIB));
    CHECK_EQ(0, hc_account_pool_settle(0, hc_account_pool_ticket(0), 32 * MIB, 2 * MIB, false));
    CHECK_EQ(32 * MIB, hc_account_used(0));
    early = hc_account_pool_ticket(0);
    late = hc_account_pool_ticket(0);
    CHECK_EQ(0, hc_account_charge(0, 4 * MIB)); /* the credit of the early one */
    CHECK_EQ(0, hc_account_pool_settle(0, late, 40 * MIB, 0, false));
    CHECK_EQ(0, hc_account_pool_settle(0, early, 36 * MIB, 4 * MIB, false));
    CHECK_EQ(40 * MIB, hc_account_used(0));
    CHECK_EQ(0, hc_account_charge(0, 2 * MIB));
    CHECK_EQ(ENOMEM,
             hc_account_pool_settle(0, hc_account_pool_ticket(0), 102 * MIB, 2 * MIB, false));
    CHECK_EQ(40 * MIB, hc_account_used(0));
    CHECK_EQ(0, hc_account_pool_settle(0, hc_account_pool_ticket(0), 102 * MIB, 0, true));
    CHECK_EQ(102 * MIB, hc_account_used(0));
    CHECK_EQ(0, hc_account_pool_settle(0, hc_account_pool_ticket(0), 0, 0, false));
    CHECK_EQ(0, hc_account_used(0));
}

static void refuses_a_foreign_card(const char *dir)
{
    struct hc_uuid ours, other;

    write_files(dir, 100 * MIB, 0);
    CHECK_EQ(HC_MODE_ON, hc_account_mode());
    CHECK(hc_uuid_parse("GPU-00000000-1111-2222-3333-444444444444", &ours));
    CHECK(hc_uuid_parse("MIG-00000000-1111-2222-3333-444444444445", &other));
    CHECK(!hc_uuid_parse("GPU-0", &other) && !hc_uuid_parse("GPU-xyz", &other));
    CHECK_EQ(0, hc_limits_card(&ours));
    CHECK(hc_limits_card(&other) == HC_CARD_OUTSIDE);
    CHECK_EQ(ENOMEM, hc_account_take(HC_CARD_OUTSIDE, 1));
}

static void follows_a_changed_limit(const char *dir)
{
    char path[512];
    uint64_t lower = 10 * MIB;
    FILE *f;

    write_files(dir, 100 * MIB, 0);
    CHECK_EQ(HC_MODE_ON, hc_account_mode());
    CHECK_EQ(0, hc_account_charge(0, 50 * MIB));
    snprintf(path, sizeof(path), "%s/limits", dir);
    f = fopen(path, "r+b"); /* in place, as the agent does */
    CHECK(f != NULL);
    CHECK(fseek(f, offsetof(struct hc_agent_page, devices) + 64, SEEK_SET) == 0);
    CHECK(fwrite(&lower, sizeof(lower), 1, f) == 1 && fclose(f) == 0);
    CHECK_EQ(lower, hc_account_limit(0));
    CHECK_EQ(ENOMEM, hc_account_charge(0, 1));
}

static void off_without_a_file(const char *dir)
{
    setenv("HC_TEST_DIR", "/nonexistent", 1);
    CHECK_EQ(HC_MODE_OFF, hc_account_mode());
    setenv("HC_TEST_DIR", dir, 1);
}

/* Changes one byte of a good page; what is not a page of ours closes the GPU. */
static void closed_by_a_bad_file(const char *dir)
{
    static const struct {
        long offset;
        uint8_t value;
    } faults[] = {{0, 'X'}, {8, 2}, {16, 0}, {20, 8}, {24, 0}, {24, 17}, {30, 1}, {384, 'X'}};

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]) + 1; i++) {
        int pid = fork();
        char path[512];

        if (pid != 0) {
            wait_ok(pid);
            continue;
        }
        write_files(dir, 100 * MIB, 0);
        snprintf(path, sizeof(path), "%s/limits", dir);
        if (i < sizeof(faults) / sizeof(faults[0])) {
            FILE *f = fopen(path, "r+b");

            CHECK(f != NULL && fseek(f, faults[i].offset, SEEK_SET) == 0);
            CHECK(fputc(faults[i].value, f) != EOF && fclose(f) == 0);
        } else {
            CHECK(truncate(path, HC_AGENT_PAGE_SIZE - 1) == 0);
        }
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        _exit(hc_account_mode() == HC_MODE_CLOSED ? 0 : 1);
    }
}

/* The child of a fork holds nothing and is charged for itself. */
static void child_starts_anew(const char *dir)
{
    int pid;

    write_files(dir, 100 * MIB, 0);
    CHECK_EQ(HC_MODE_ON, hc_account_mode());
    CHECK_EQ(0, hc_account_take(0, 60 * MIB));
    pid = fork();
    if (pid == 0) {
        CHECK_EQ(60 * MIB, hc_account_used(0));
        CHECK_EQ(ENOMEM, hc_account_take(0, 60 * MIB));
        CHECK_EQ(0, hc_account_take(0, 40 * MIB));
        _exit(0);
    }
    wait_ok(pid);
    CHECK_EQ(0, hc_account_take(0, 40 * MIB)); /* the child is dead: its share is taken back */
    CHECK_EQ(100 * MIB, hc_account_used(0));
}

const struct test account_tests[] = {
    {"allocations are rounded as the driver rounds them", rounds_as_the_driver},
    {"slabs are right under six threads", slabs_survive_threads},
    {"a primary context is charged once, before the driver is asked", charges_the_primary_once},
    {"a pool is charged by what it has reserved", settles_pools},
    {"a card outside the slice is refused", refuses_a_foreign_card},
    {"a limit that the agent lowers holds at once", follows_a_changed_limit},
    {"without a limits file nothing is limited", off_without_a_file},
    {"a bad limits file closes the GPU", closed_by_a_bad_file},
    {"a forked child starts with nothing", child_starts_anew},
    {NULL, NULL},
};
