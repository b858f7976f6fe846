/* Owns the map of the region, this process's slot in it, charging, and the reaping of the dead. */
#include "hc_region.h"

#include <errno.h>
#include <string.h>

#include "hc_atomic.h"
#include "hc_sys.h"

#define REAP_INTERVAL_MS 100
#define PATH_MAX_BYTES 256
#define TRANSACTION (UINT64_C(1) << 32 | 1) /* one begun, one inside */
#define INSIDE(transactions) ((uint32_t)(transactions))

/* Before a region is opened everything points here: nothing is used and nothing gets a slot. */
static struct hc_region empty_region;

static struct {
    struct hc_region *region;    /* set once, before any other thread gets here */
    struct hc_region_slot *slot; /* NULL: none yet; written under claim_lock, release */
    bool shared;
    int fd; /* holds the lock of our slot; -1: none */
    struct hc_file_id file;
    uint32_t pid;
    uint64_t start_time;
    uint64_t reaped_ms; /* relaxed: two threads that reap at once do no harm */
    struct hc_lock claim_lock, reap_lock;
    char path[PATH_MAX_BYTES];
} self = {.region = &empty_region, .fd = -1};

static uint64_t lock_byte(uint32_t index)
{
    return offsetof(struct hc_region, slots) + (uint64_t)index * sizeof(struct hc_region_slot);
}

static bool is_live(uint64_t owner)
{
    return owner >> 32 == HC_SLOT_LIVE;
}

void hc_region_format(struct hc_region *r)
{
    r->magic = HC_REGION_MAGIC;
    r->major = HC_ABI_MAJOR;
    r->minor = HC_ABI_MINOR;
    r->header_size = offsetof(struct hc_region, cards);
    r->card_size = sizeof(struct hc_region_card);
    r->card_count = HC_MAX_CARDS;
    r->slot_size = sizeof(struct hc_region_slot);
    r->slot_count = HC_MAX_SLOTS;
    r->total_size = HC_REGION_SIZE;
}

/* A writer, unlike a reader, needs the very layout it was built for; the agent that made the region
 * brought this library too. */
bool hc_region_is_valid(const struct hc_region *r)
{
    return r->magic == HC_REGION_MAGIC && r->major == HC_ABI_MAJOR &&
           r->header_size == offsetof(struct hc_region, cards) &&
           r->card_size == sizeof(struct hc_region_card) && r->card_count == HC_MAX_CARDS &&
           r->slot_size == sizeof(struct hc_region_slot) && r->slot_count == HC_MAX_SLOTS &&
           r->total_size == HC_REGION_SIZE;
}

static int attach(const char *path)
{
    uint64_t size = 0;
    void *at = NULL;
    int fd, failed = hc_sys_open(path, true, &fd);

    if (failed != 0)
        return failed;
    failed = hc_sys_size(fd, &size);
    if (failed == 0 && size < HC_REGION_SIZE)
        failed = EINVAL;
    if (failed == 0)
        failed = hc_sys_map_file(fd, HC_REGION_SIZE, true, &at);
    hc_sys_close(fd);
    if (failed != 0)
        return failed;
    if (!hc_region_is_valid(at)) {
        hc_sys_unmap(at, HC_REGION_SIZE);
        return EINVAL;
    }
    strcpy(self.path, path);
    self.shared = true;
    self.region = at;
    return 0;
}

int hc_region_open(const char *path)
{
    void *at;
    int failed = strlen(path) < PATH_MAX_BYTES ? attach(path) : ENAMETOOLONG;

    if (failed == 0)
        return 0;
    /* Without memory for it nothing can be charged, so nothing is allowed: closed. */
    if (hc_sys_map_memory(HC_REGION_SIZE, &at) == 0) {
        hc_region_format(at);
        self.shared = false;
        self.region = at;
    }
    return failed;
}

static void slot_start(struct hc_region_slot *s)
{
    s->start_time = self.start_time;
    /* release: publishes start_time; pairs with the acquire in reap_slot and in other readers. */
    hc_store_release64(&s->owner, (uint64_t)HC_SLOT_LIVE << 32 | self.pid);
}

/* Takes the first free slot. Its lock stays with self.fd. Precondition: claim_lock is held. */
static struct hc_region_slot *slot_take(void)
{
    for (uint32_t i = 0; i < HC_MAX_SLOTS; i++) {
        struct hc_region_slot *s = &self.region->slots[i];

        /* acquire: pairs with the release of the reaper that freed it. */
        if (is_live(hc_load_acquire64(&s->owner)) || hc_sys_try_lock(self.fd, lock_byte(i)) != 0)
            continue;
        if (!is_live(hc_load_acquire64(&s->owner))) { /* again, now that nobody else can take it */
            slot_start(s);
            return s;
        }
        hc_sys_unlock(self.fd, lock_byte(i));
    }
    return NULL;
}

static struct hc_region_slot *slot_claim_shared(void)
{
    struct hc_region_slot *s;

    if (self.fd < 0) {
        if (hc_sys_open(self.path, true, &self.fd) != 0)
            return NULL;
        hc_sys_file_id(self.fd, &self.file);
    }
    /* Also removes what the image before an exec of this very process has left. */
    hc_region_reap();
    s = slot_take();
    if (s == NULL)
        hc_add_relaxed64(&self.region->slots_exhausted, 1); /* relaxed: a counter for the agent */
    return s;
}

static struct hc_region_slot *slot_claim(void)
{
    struct hc_region_slot *s;

    if (self.region == &empty_region)
        return NULL;
    hc_lock(&self.claim_lock);
    s = self.slot;
    if (s == NULL) {
        self.pid = hc_sys_pid();
        self.start_time = hc_sys_start_time(self.pid);
        if (self.shared) {
            s = slot_claim_shared();
        } else {
            s = &self.region->slots[0];
            slot_start(s);
        }
        /* release: publishes the slot's owner; pairs with the acquires in charge and uncharge. */
        hc_store_release_ptr((void **)&self.slot, s);
    }
    hc_unlock(&self.claim_lock);
    return s;
}

/* The order of a transaction's operations is what reconcile() reads backwards: each is acq_rel, so
 * whoever sees a changed card or slot also sees that a transaction had begun. */
static void transaction_begin(struct hc_region_slot *s)
{
    hc_add_acqrel64(&s->transactions, TRANSACTION);
}

static void transaction_end(struct hc_region_slot *s)
{
    hc_sub_acqrel64(&s->transactions, 1);
}

int hc_region_charge(uint32_t card, uint64_t bytes, uint64_t limit)
{
    /* acquire: pairs with the release in slot_claim. */
    struct hc_region_slot *s = hc_load_acquire_ptr((void **)&self.slot);
    uint64_t *total = &self.region->cards[card].used_bytes;
    int failed = ENOMEM;

    if (s == NULL) {
        s = slot_claim();
        if (s == NULL)
            return ENOSPC;
    }
    transaction_begin(s);
    /* relaxed: the exchange below repeats with the true value. Not add-and-undo: an addition that
     * is about to be undone would make a neighbour's request fail that fits. */
    uint64_t used = hc_load_relaxed64(total);
    while (bytes <= limit && used <= limit - bytes) {
        if (hc_cas_acqrel64(total, &used, used + bytes)) {
            hc_add_acqrel64(&s->used_bytes[card], bytes);
            failed = 0;
            break;
        }
    }
    transaction_end(s);
    return failed;
}

void hc_region_uncharge(uint32_t card, uint64_t bytes)
{
    /* acquire: pairs with the release in slot_claim. */
    struct hc_region_slot *s = hc_load_acquire_ptr((void **)&self.slot);

    if (s == NULL || bytes == 0)
        return;
    transaction_begin(s);
    hc_sub_acqrel64(&s->used_bytes[card], bytes);
    hc_sub_acqrel64(&self.region->cards[card].used_bytes, bytes);
    transaction_end(s);
}

uint64_t hc_region_used(uint32_t card)
{
    /* relaxed: what other processes hold may change the next moment anyway. */
    return hc_load_relaxed64(&self.region->cards[card].used_bytes);
}

/* Sets each card to the sum of its slots, at a moment when nobody is inside a transaction; the
 * difference is constant then and later, because every transaction changes both sides alike.
 * Precondition: byte 0 is locked. */
static bool reconcile_once(struct hc_region *r)
{
    uint64_t before[HC_MAX_SLOTS], sum[HC_MAX_CARDS] = {0}, total[HC_MAX_CARDS];

    for (uint32_t i = 0; i < HC_MAX_SLOTS; i++) {
        /* acquire: pairs with the transaction's own acq_rel operations. */
        before[i] = hc_load_acquire64(&r->slots[i].transactions);
        if (INSIDE(before[i]) != 0)
            return false;
    }
    for (uint32_t c = 0; c < HC_MAX_CARDS; c++)
        total[c] = hc_load_acquire64(&r->cards[c].used_bytes);
    for (uint32_t i = 0; i < HC_MAX_SLOTS; i++) {
        for (uint32_t c = 0; c < HC_MAX_CARDS; c++)
            sum[c] += hc_load_acquire64(&r->slots[i].used_bytes[c]);
    }
    for (uint32_t i = 0; i < HC_MAX_SLOTS; i++) {
        if (hc_load_acquire64(&r->slots[i].transactions) != before[i])
            return false;
    }
    for (uint32_t c = 0; c < HC_MAX_CARDS; c++)
        hc_sub_acqrel64(&r->cards[c].used_bytes, total[c] - sum[c]);
    return true;
}

static bool reconcile(struct hc_region *r)
{
    /* Transactions last nanoseconds, unless their thread is preempted: some 20 ms in all. */
    for (int attempt = 0; attempt < 200; attempt++) {
        if (reconcile_once(r))
            return true;
        hc_sys_sleep_us(50);
    }
    return false;
}

static bool owner_is_dead(const struct hc_region_slot *s, uint64_t owner)
{
    uint32_t pid = (uint32_t)owner;

    if (pid == self.pid && self.pid != 0 && s->start_time == self.start_time)
        return s != self.slot; /* our slot from before an exec; its lock went with the old image */
    return hc_sys_is_dead(pid, s->start_time);
}

/* True if the slot was taken from a dead owner; *drift if its death was inside a transaction.
 * Precondition: byte 0 is locked through fd. */
static bool reap_slot(struct hc_region *r, uint32_t i, int fd, bool *drift)
{
    struct hc_region_slot *s = &r->slots[i];
    bool reaped = false;
    uint64_t owner;

    /* acquire: pairs with the release in slot_start. */
    if (!is_live(hc_load_acquire64(&s->owner)) || hc_sys_try_lock(fd, lock_byte(i)) != 0)
        return false;
    owner = hc_load_acquire64(&s->owner);
    if (is_live(owner) && owner_is_dead(s, owner)) {
        /* release: whoever sees a changed slot sees that it may be half emptied. */
        hc_store_release64(&r->dirty, 1);
        *drift |= INSIDE(s->transactions) != 0;
        for (uint32_t c = 0; c < HC_MAX_CARDS; c++) {
            uint64_t used = hc_exchange_acqrel64(&s->used_bytes[c], 0);
            hc_sub_acqrel64(&r->cards[c].used_bytes, used);
        }
        /* relaxed: nobody else writes the slot now, and the next line publishes it. */
        hc_store_relaxed64(&s->transactions, s->transactions >> 32 << 32);
        s->start_time = 0;
        /* release: publishes the empty slot; pairs with the acquire in slot_take. */
        hc_store_release64(&s->owner, 0);
        hc_add_relaxed64(&r->slots_reaped, 1); /* relaxed: a counter for the agent */
        reaped = true;
    }
    hc_sys_unlock(fd, lock_byte(i));
    return reaped;
}

/* Byte 0, without waiting for ever: its holder may be stopped. */
static bool lock_repair(int fd)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        if (hc_sys_try_lock(fd, 0) == 0)
            return true;
        hc_sys_sleep_us(200);
    }
    return false;
}

uint32_t hc_region_reap(void)
{
    struct hc_region *r = self.region;
    uint32_t reaped = 0;
    int fd;

    if (!self.shared)
        return 0;
    hc_lock(&self.reap_lock);
    /* A descriptor of its own: our slot's lock then reads as held, and the program may have closed
     * or reused the number that we keep. Closing it releases all locks. */
    if (hc_sys_open(self.path, true, &fd) != 0)
        goto out;
    if (lock_repair(fd)) {
        bool drift = hc_load_acquire64(&r->dirty) != 0; /* left by a reaper that was killed */

        for (uint32_t i = 0; i < HC_MAX_SLOTS; i++)
            reaped += reap_slot(r, i, fd, &drift);
        if (!drift || reconcile(r))
            hc_store_release64(&r->dirty, 0); /* release: after the cards; see reap_slot */
        reaped += drift;
    }
    hc_sys_close(fd);
out:
    hc_unlock(&self.reap_lock);
    return reaped;
}

void hc_region_reap_if_due(void)
{
    uint64_t now = hc_sys_coarse_ms();

    /* relaxed: see the field. */
    if (__builtin_expect(now - hc_load_relaxed64(&self.reaped_ms) < REAP_INTERVAL_MS, 1))
        return;
    hc_store_relaxed64(&self.reaped_ms, now);
    hc_region_reap();
}

void hc_region_alarm(enum hc_alarm alarm)
{
    struct hc_region *r = self.region;

    /* relaxed: counters for the agent. */
    switch (alarm) {
    case HC_ALARM_UNKNOWN_SYMBOL:
        hc_add_relaxed64(&r->unknown_symbols, 1);
        break;
    case HC_ALARM_FOREIGN_DRIVER:
        hc_add_relaxed64(&r->foreign_drivers, 1);
        break;
    }
}

void hc_region_after_fork(void)
{
    struct hc_file_id id;

    /* The descriptor shares the parent's lock: as long as we kept it, the parent could not be
     * proven dead. The number may have become another file's, if the program closed ours. */
    if (self.fd >= 0 && hc_sys_file_id(self.fd, &id) == 0 && id.inode == self.file.inode &&
        id.device == self.file.device)
        hc_sys_close(self.fd);
    self.fd = -1;
    self.slot = NULL;
    self.pid = 0;
    self.claim_lock = (struct hc_lock){0};
    self.reap_lock = (struct hc_lock){0};
    if (!self.shared && self.region != &empty_region) {
        memset(self.region, 0, HC_REGION_SIZE);
        hc_region_format(self.region);
    }
}
