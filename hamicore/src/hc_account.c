/* Owns the mode, the driver's granularity, and what this process holds in contexts and pools. */
#include "hc_account.h"

#include <errno.h>
#include <stddef.h>

#include "hc_map.h"
#include "hc_region.h"
#include "hc_sys.h"

#ifdef HC_TEST_PATHS
#include <stdlib.h>
#include <string.h>
#else
#define HC_DIR "/usr/local/basalt"
#endif

#define PAGE (UINT64_C(2) << 20)
#define SMALL_MAX (UINT64_C(1) << 20)
#define UNIT UINT64_C(512)
#define UNITS_PER_SLAB (PAGE / UNIT)
#define ABSURD (UINT64_C(1) << 50)

/* In libc.so.6 since 2.3.2; pthread_atfork itself is not. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso);

uint32_t hc_account_mode_word = HC_MODE_UNOPENED;

static struct hc_lock open_lock;
static uint32_t slots_message, outside_message;

/* Per card of this process; all zero at the start and after a fork. */
static struct card {
    /* Small allocations: slabs charged << 40 | live units of 512 bytes. One word, so that the slab
     * that an allocation needs and its use of it change together. */
    uint64_t small;
    struct hc_lock lock; /* guards all below; never held around a driver call */
    uint32_t primary_pending;
    bool primary_charged, primary_active; /* active: a retain has succeeded */
    uint64_t primary_bytes; /* as charged: the agent may correct the size of a context */
    uint64_t primary_epoch; /* retains begun */
    uint64_t pool_charged;
    uint64_t pool_tickets, pool_settled;
} __attribute__((aligned(HC_CACHE_LINE))) cards[HC_MAX_CARDS];

static void message_once(uint32_t *said, const char *text)
{
    if (hc_exchange_acqrel32(said, 1) == 0)
        hc_sys_message((const char *const[]){text, NULL});
}

/* The file's path. Fixed in the shipped library: nothing that a container sets can move it. */
static const char *path_of(const char *name, char *buffer)
{
#ifdef HC_TEST_PATHS
    const char *dir = getenv("HC_TEST_DIR");

    buffer[0] = '\0';
    if (dir == NULL || strlen(dir) > 200)
        return "/nonexistent/basalt";
    strcpy(buffer, dir);
    strcat(buffer, "/");
    return strcat(buffer, name);
#else
    (void)buffer;
    return name[0] == 'l' ? HC_DIR "/limits" : HC_DIR "/region";
#endif
}

/* The child of a fork holds none of its parent's memory, locks, slot or charges. */
static void after_fork(void)
{
    hc_region_after_fork();
    hc_map_reset();
    for (uint32_t i = 0; i < HC_MAX_CARDS; i++)
        cards[i] = (struct card){0};
    open_lock = (struct hc_lock){0}; /* if a thread of the parent was in there, we open anew */
}

static uint32_t open_files(void)
{
    char buffer[256];
    int failed = hc_limits_open(path_of("limits", buffer));

    if (failed == ENOENT)
        return HC_MODE_OFF;
    if (failed != 0) {
        hc_sys_message((const char *const[]){"the limits file of this container cannot be used (",
                                             failed == EINVAL ? "damaged, or of another version"
                                                              : "not readable",
                                             "); the GPU is refused", NULL});
        return HC_MODE_CLOSED;
    }
    if (hc_region_open(path_of("region", buffer)) != 0)
        hc_sys_message((const char *const[]){
            "the region of this container cannot be used; the limits hold for each process alone",
            NULL});
    return HC_MODE_ON;
}

uint32_t hc_account_open(void)
{
    static bool registered;
    uint32_t mode;

    hc_lock(&open_lock);
    mode = hc_load_relaxed32(&hc_account_mode_word); /* relaxed: only changed under the lock */
    if (mode == HC_MODE_UNOPENED) {
        if (!registered)
            registered = __register_atfork(NULL, NULL, after_fork, NULL) == 0;
        mode = open_files();
        /* release: publishes limits and region; pairs with the acquire in hc_account_mode. */
        hc_store_release32(&hc_account_mode_word, mode);
    }
    hc_unlock(&open_lock);
    return mode;
}

int hc_account_charge(int card, uint64_t bytes)
{
    int failed;

    if (card < 0) {
        message_once(&outside_message, "this container uses a card that its slice does not have; "
                                       "memory on it is refused");
        return ENOMEM;
    }
    failed = hc_region_charge((uint32_t)card, bytes, hc_account_limit(card));
    if (failed != 0 && hc_region_reap() > 0)
        failed = hc_region_charge((uint32_t)card, bytes, hc_account_limit(card));
    if (failed == ENOSPC)
        message_once(&slots_message, "too many processes of this container use the GPU; "
                                     "memory is refused to this one");
    return failed;
}

void hc_account_uncharge(int card, uint64_t bytes)
{
    if (card >= 0)
        hc_region_uncharge((uint32_t)card, bytes);
}

uint64_t hc_account_rounded(uint64_t bytes)
{
    return bytes > ABSURD ? bytes : (bytes + PAGE - 1) / PAGE * PAGE;
}

static uint64_t units_of(uint64_t bytes)
{
    return (bytes + UNIT - 1) / UNIT;
}

static uint64_t slabs_for(uint64_t units)
{
    return (units + UNITS_PER_SLAB - 1) / UNITS_PER_SLAB;
}

#define SLAB_SHIFT 40
#define UNITS(word) ((word) & ((UINT64_C(1) << SLAB_SHIFT) - 1))
#define SLABS(word) ((word) >> SLAB_SHIFT)

static int small_take(int card, uint64_t units)
{
    uint64_t *small = &cards[card].small;
    uint64_t word = hc_load_relaxed64(small); /* relaxed: the exchange below checks it */
    bool bought = false;
    int failed = 0;

    for (;;) {
        bool need = slabs_for(UNITS(word) + units) > SLABS(word);

        if (need && !bought) {
            failed = hc_account_charge(card, PAGE);
            if (failed != 0)
                return failed;
            bought = true;
            word = hc_load_relaxed64(small); /* relaxed: as above */
            continue;
        }
        if (hc_cas_acqrel64(small, &word, word + units + ((uint64_t)need << SLAB_SHIFT))) {
            if (bought && !need) /* another thread's slab had room, or one was given back */
                hc_account_uncharge(card, PAGE);
            return 0;
        }
    }
}

static void small_give(int card, uint64_t units)
{
    uint64_t *small = &cards[card].small;
    uint64_t word = hc_load_relaxed64(small); /* relaxed: the exchange below checks it */
    uint64_t left, keep;

    do {
        left = UNITS(word) - units;
        keep = slabs_for(left);
    } while (!hc_cas_acqrel64(small, &word, keep << SLAB_SHIFT | left));
    hc_account_uncharge(card, (SLABS(word) - keep) * PAGE);
}

int hc_account_take(int card, uint64_t bytes)
{
    if (card >= 0 && bytes <= SMALL_MAX)
        return small_take(card, units_of(bytes));
    return hc_account_charge(card, hc_account_rounded(bytes));
}

void hc_account_give(int card, uint64_t bytes)
{
    if (card < 0)
        return;
    if (bytes <= SMALL_MAX)
        small_give(card, units_of(bytes));
    else
        hc_account_uncharge(card, hc_account_rounded(bytes));
}

int hc_account_primary_enter(int card)
{
    struct card *c = &cards[card < 0 ? 0 : card];
    int failed = 0;

    if (card < 0)
        return hc_account_charge(card, 0);
    hc_lock(&c->lock);
    if (!c->primary_charged) {
        c->primary_bytes = hc_limits_context((uint32_t)card);
        failed = hc_account_charge(card, c->primary_bytes);
    }
    if (failed == 0) {
        c->primary_charged = true;
        c->primary_pending++;
        c->primary_epoch++;
    }
    hc_unlock(&c->lock);
    return failed;
}

/* Precondition: c's lock is held. */
static void primary_drop(struct card *c, int card)
{
    if (c->primary_charged && c->primary_pending == 0) {
        hc_account_uncharge(card, c->primary_bytes);
        c->primary_charged = false;
        c->primary_active = false;
    }
}

void hc_account_primary_leave(int card, bool retained)
{
    struct card *c = &cards[card];

    hc_lock(&c->lock);
    c->primary_pending--;
    c->primary_active |= retained;
    if (!c->primary_active)
        primary_drop(c, card);
    hc_unlock(&c->lock);
}

uint64_t hc_account_primary_ticket(int card)
{
    uint64_t epoch;

    hc_lock(&cards[card].lock);
    epoch = cards[card].primary_epoch;
    hc_unlock(&cards[card].lock);
    return epoch;
}

bool hc_account_primary_ended(int card, uint64_t ticket)
{
    struct card *c = &cards[card];
    bool ended;

    hc_lock(&c->lock);
    ended = c->primary_epoch == ticket && c->primary_pending == 0;
    if (ended)
        primary_drop(c, card);
    hc_unlock(&c->lock);
    return ended;
}

uint64_t hc_account_pool_ticket(int card)
{
    uint64_t ticket;

    hc_lock(&cards[card].lock);
    ticket = ++cards[card].pool_tickets;
    hc_unlock(&cards[card].lock);
    return ticket;
}

int hc_account_pool_settle(int card, uint64_t ticket, uint64_t reserved, uint64_t credit,
                           bool force)
{
    struct card *c = &cards[card];
    int failed = 0;

    hc_lock(&c->lock);
    if (ticket < c->pool_settled) {
        /* A later look at the pool has been settled, and it included what we saw. */
        hc_account_uncharge(card, credit);
    } else if (reserved <= c->pool_charged + credit) {
        hc_account_uncharge(card, c->pool_charged + credit - reserved);
        hc_store_relaxed64(&c->pool_charged, reserved); /* relaxed: under the lock */
        c->pool_settled = ticket;
    } else {
        uint64_t growth = reserved - c->pool_charged - credit;

        if (force)
            failed = hc_region_charge((uint32_t)card, growth, UINT64_MAX);
        else
            failed = hc_account_charge(card, growth);
        if (failed == 0) {
            hc_store_relaxed64(&c->pool_charged, reserved); /* relaxed: under the lock */
            c->pool_settled = ticket;
        } else {
            hc_account_uncharge(card, credit);
        }
    }
    hc_unlock(&c->lock);
    return failed;
}

uint64_t hc_account_pool_charged(int card)
{
    return hc_load_relaxed64(&cards[card].pool_charged); /* relaxed: a hint that settling may pay */
}

uint64_t hc_account_limit(int card)
{
    return hc_limits_limit((uint32_t)card);
}

uint64_t hc_account_used(int card)
{
    hc_region_reap_if_due();
    return hc_region_used((uint32_t)card);
}
