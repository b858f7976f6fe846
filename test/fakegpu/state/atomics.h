/* Memory order by name: the only way this driver touches atomics. */
#ifndef FG_ATOMICS_H
#define FG_ATOMICS_H

#include <stdatomic.h>
#include <stdint.h>

static inline uint32_t fg_load32_relaxed(const _Atomic uint32_t *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

static inline uint32_t fg_load32_acquire(const _Atomic uint32_t *p)
{
    return atomic_load_explicit(p, memory_order_acquire);
}

static inline void fg_store32_relaxed(_Atomic uint32_t *p, uint32_t v)
{
    atomic_store_explicit(p, v, memory_order_relaxed);
}

static inline void fg_store32_release(_Atomic uint32_t *p, uint32_t v)
{
    atomic_store_explicit(p, v, memory_order_release);
}

static inline uint64_t fg_load64_relaxed(const _Atomic uint64_t *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

static inline uint64_t fg_load64_seqcst(const _Atomic uint64_t *p)
{
    return atomic_load_explicit(p, memory_order_seq_cst);
}

static inline void fg_store64_relaxed(_Atomic uint64_t *p, uint64_t v)
{
    atomic_store_explicit(p, v, memory_order_relaxed);
}

static inline void fg_add64_seqcst(_Atomic uint64_t *p, uint64_t v)
{
    atomic_fetch_add_explicit(p, v, memory_order_seq_cst);
}

static inline void fg_sub64_seqcst(_Atomic uint64_t *p, uint64_t v)
{
    atomic_fetch_sub_explicit(p, v, memory_order_seq_cst);
}

static inline void fg_add32_relaxed(_Atomic uint32_t *p, uint32_t v)
{
    atomic_fetch_add_explicit(p, v, memory_order_relaxed);
}

#endif
