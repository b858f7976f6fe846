/* Atomic words with the memory order in the name. Every use of an order other than relaxed names
 * its partner; every relaxed one says why a stale value is fine. */
#ifndef HC_ATOMIC_H
#define HC_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

static inline uint32_t hc_load_relaxed32(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint32_t hc_load_acquire32(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void hc_store_release32(uint32_t *p, uint32_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline uint32_t hc_exchange_acqrel32(uint32_t *p, uint32_t v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL);
}

static inline bool hc_cas_acquire32(uint32_t *p, uint32_t *want, uint32_t v)
{
    return __atomic_compare_exchange_n(p, want, v, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline uint64_t hc_load_relaxed64(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint64_t hc_load_acquire64(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void hc_store_relaxed64(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void hc_store_release64(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline uint64_t hc_add_relaxed64(uint64_t *p, uint64_t v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}

static inline uint64_t hc_add_acqrel64(uint64_t *p, uint64_t v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL);
}

static inline uint64_t hc_sub_acqrel64(uint64_t *p, uint64_t v)
{
    return __atomic_fetch_sub(p, v, __ATOMIC_ACQ_REL);
}

static inline uint64_t hc_exchange_acqrel64(uint64_t *p, uint64_t v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL);
}

static inline bool hc_cas_acqrel64(uint64_t *p, uint64_t *want, uint64_t v)
{
    return __atomic_compare_exchange_n(p, want, v, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline void *hc_load_acquire_ptr(void *const *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void hc_store_release_ptr(void **p, void *v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

#endif
