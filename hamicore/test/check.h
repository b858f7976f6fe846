/* Assertions of the unit tests. */
#ifndef HC_TEST_CHECK_H
#define HC_TEST_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_EQ(want, got)                                                                        \
    do {                                                                                           \
        uint64_t want_ = (uint64_t)(want), got_ = (uint64_t)(got);                                 \
        if (want_ != got_) {                                                                       \
            fprintf(stderr, "%s:%d: %s: want %llu, got %llu\n", __FILE__, __LINE__, #got,          \
                    (unsigned long long)want_, (unsigned long long)got_);                          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct test {
    const char *name;
    void (*run)(const char *dir);
};

/* Each test runs in a process of its own, with HC_TEST_DIR set to dir. */
extern const struct test region_tests[], account_tests[], map_tests[];

/* Writes both files: one card with that limit and context size. */
void write_files(const char *dir, uint64_t limit_bytes, uint64_t context_bytes);
/* The region of the file, to look at it from outside. */
struct hc_region *map_region(const char *dir);
/* Waits for a child and requires status 0. */
void wait_ok(int pid);

#endif
