/* Tests of the address map. */
#include <pthread.h>

#include "check.h"
#include "hc_map.h"

#define MANY 200000u

static struct hc_entry entry(uint64_t key, uint64_t ref)
{
    return (struct hc_entry){
        .key = key, .size = (key % 7 + 1) * 512, .ref = ref, .card = 3, .kind = HC_ENTRY_LINEAR};
}

static void keeps_and_removes(const char *dir)
{
    struct hc_entry e, got;

    (void)dir;
    for (uint64_t i = 1; i <= MANY; i++) {
        e = entry(i << 21, i % 2);
        CHECK(hc_map_put(&e));
    }
    for (uint64_t i = 1; i <= MANY; i += 3)
        CHECK(hc_map_take(HC_ENTRY_LINEAR, i << 21, &got));
    for (uint64_t i = 1; i <= MANY; i++) {
        bool want = i % 3 != 1;

        CHECK_EQ(want, hc_map_find(HC_ENTRY_LINEAR, i << 21, &got));
        if (want) {
            CHECK_EQ(entry(i << 21, 0).size, got.size);
            CHECK_EQ(3, got.card);
            CHECK_EQ(i % 2, got.ref);
        }
    }
    CHECK(!hc_map_find(HC_ENTRY_MAPPING, 2 << 21, &got)); /* another kind of the same key */
}

static uint64_t dropped;

static void count(const struct hc_entry *e)
{
    CHECK_EQ(1, e->ref);
    dropped++;
}

static void drops_by_context(const char *dir)
{
    struct hc_entry e, got;

    (void)dir;
    for (uint64_t i = 1; i <= 10000; i++) {
        e = entry(i * 512, i % 4);
        CHECK(hc_map_put(&e));
    }
    hc_map_drop(HC_ENTRY_LINEAR, 1, count);
    CHECK_EQ(2500, dropped);
    for (uint64_t i = 1; i <= 10000; i++)
        CHECK_EQ(i % 4 != 1, hc_map_find(HC_ENTRY_LINEAR, i * 512, &got));
}

static void counts_references(const char *dir)
{
    struct hc_entry e = {.key = 7, .size = 2 * MIB, .ref = 1, .kind = HC_ENTRY_PHYSICAL}, got;

    (void)dir;
    CHECK(hc_map_put(&e));
    CHECK(hc_map_add_ref(HC_ENTRY_PHYSICAL, 7, 1, &got));
    CHECK(hc_map_add_ref(HC_ENTRY_PHYSICAL, 7, -1, &got));
    CHECK_EQ(1, got.ref);
    CHECK(hc_map_add_ref(HC_ENTRY_PHYSICAL, 7, -1, &got));
    CHECK_EQ(0, got.ref);
    CHECK_EQ(2 * MIB, got.size);
    CHECK(!hc_map_add_ref(HC_ENTRY_PHYSICAL, 7, 1, &got));
}

static void *churn(void *arg)
{
    uint64_t base = (uint64_t)(uintptr_t)arg << 40;
    struct hc_entry e, got;

    for (uint64_t round = 0; round < 20; round++) {
        for (uint64_t i = 1; i <= 1000; i++) {
            e = entry(base + i * 4096, 0);
            CHECK(hc_map_put(&e));
        }
        for (uint64_t i = 1; i <= 1000; i++)
            CHECK(hc_map_take(HC_ENTRY_LINEAR, base + i * 4096, &got));
    }
    return NULL;
}

static void serves_threads(const char *dir)
{
    pthread_t threads[8];

    (void)dir;
    for (uintptr_t i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

const struct test map_tests[] = {
    {"the map keeps 200,000 entries and removes any of them", keeps_and_removes},
    {"the map drops what a context held", drops_by_context},
    {"the map removes a handle with its last reference", counts_references},
    {"the map serves eight threads", serves_threads},
    {NULL, NULL},
};
