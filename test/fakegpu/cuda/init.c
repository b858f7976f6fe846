/* Owns cuInit: the process's view of the node, its slot, and the visible devices. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

#define REAP_INTERVAL_NS 10000000ull

static _Atomic uint32_t never_alive;
struct fc_driver fc_driver = {.mu = PTHREAD_MUTEX_INITIALIZER, .alive = &never_alive};
static bool was_initialized, has_slot; /* guarded by fc_driver.mu */

static int page_make(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return errno;
    if (madvise(page, size, MADV_WIPEONFORK) != 0) {
        munmap(page, size);
        return errno;
    }
    fc_driver.alive = page;
    return 0;
}

static bool is_visible_already(uint32_t card)
{
    for (uint32_t i = 0; i < fc_driver.device_count; i++) {
        if (fc_driver.visible[i]->card_index == card)
            return true;
    }
    return false;
}

/* The card that one element of CUDA_VISIBLE_DEVICES names, or NULL: an index among those that the
 * node shows to this process, or the beginning of exactly one UUID. */
static struct fc_device *match(const char *item, size_t len)
{
    const struct fg_node *n = &fc_driver.node;
    struct fc_device *found = NULL;
    char *end;

    if (len == 0)
        return NULL;
    if (isdigit((unsigned char)item[0])) {
        unsigned long i = strtoul(item, &end, 10);
        return end == item + len && i < n->card_count ? &fc_driver.devices[n->card_index[i]] : NULL;
    }
    if (len < 5 || strncasecmp(item, "GPU-", 4) != 0)
        return NULL;
    for (uint32_t i = 0; i < n->card_count; i++) {
        struct fc_device *d = &fc_driver.devices[n->card_index[i]];
        if (strncasecmp(d->card->uuid, item, len) != 0)
            continue;
        if (found != NULL)
            return NULL;
        found = d;
    }
    return found;
}

static void show(struct fc_device *d)
{
    d->ordinal = (CUdevice)fc_driver.device_count;
    fc_driver.visible[fc_driver.device_count++] = d;
}

/* The list ends at the first element that names no card, or a card for the second time. */
static void show_listed(const char *list)
{
    for (;;) {
        list += strspn(list, " \t");
        size_t len = strcspn(list, ",");
        size_t trimmed = len;

        while (trimmed > 0 && isspace((unsigned char)list[trimmed - 1]))
            trimmed--;
        struct fc_device *d = match(list, trimmed);
        if (d == NULL || is_visible_already(d->card_index))
            return;
        show(d);
        if (list[len] == '\0')
            return;
        list += len + 1;
    }
}

static int open_devices(void)
{
    struct fg_node *n = &fc_driver.node;
    const char *list = getenv("CUDA_VISIBLE_DEVICES");

    for (uint32_t i = 0; i < n->card_count; i++) {
        uint32_t card = n->card_index[i];
        struct fc_device *d = &fc_driver.devices[card];
        int err = fc_window_open(card, n, fc_driver.slot);

        if (err != 0)
            return err;
        d->card = &n->state->cards[card];
        d->card_index = card;
        d->ordinal = -1;
        d->window = fc_window(card);
        d->device_memory = (struct fc_arena){.window = d->window};
        d->managed_memory = (struct fc_arena){.window = d->window, .managed = true};
        d->default_pool.arena = (struct fc_arena){.window = d->window, .keep = true};
        if (list == NULL)
            show(d);
    }
    if (list != NULL)
        show_listed(list);
    return fc_window_open(FG_MAX_CARDS, n, fc_driver.slot);
}

/* Precondition: fc_driver.mu is held. */
static CUresult attach(void)
{
    struct fg_node *n = &fc_driver.node;
    CUresult r = CUDA_ERROR_OPERATING_SYSTEM;

    if (fg_node_open(n) != 0)
        return CUDA_ERROR_NO_DEVICE;
    if (n->card_count == 0) {
        r = CUDA_ERROR_NO_DEVICE;
        goto out;
    }
    if (page_make() != 0 || fg_slot_claim(n, &fc_driver.slot) != 0 || open_devices() != 0)
        goto out;
    has_slot = true;
    return CUDA_SUCCESS;
out:
    fg_node_close(n); /* drops the slot, too */
    return r;
}

/* Precondition: fc_driver.mu is held. */
static CUresult init_locked(void)
{
    if (fg_load32_acquire(fc_driver.alive) != 0)
        return CUDA_SUCCESS;
    if (was_initialized) /* and now wiped: this is a forked child */
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!has_slot) {
        CUresult r = attach();
        if (r != CUDA_SUCCESS)
            return r;
    }
    if (fc_driver.device_count == 0) /* CUDA_VISIBLE_DEVICES names none, now and later */
        return CUDA_ERROR_NO_DEVICE;
    was_initialized = true;
    /* release: publishes everything above; pairs with the acquire in fc_is_ready. */
    fg_store32_release(fc_driver.alive, 1);
    return CUDA_SUCCESS;
}

CUresult cuInit(unsigned flags)
{
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (fc_is_ready())
        return CUDA_SUCCESS;
    pthread_mutex_lock(&fc_driver.mu);
    CUresult r = init_locked();
    pthread_mutex_unlock(&fc_driver.mu);
    return r;
}

CUresult cuDriverGetVersion(int *version)
{
    struct fg_node probe = {0};

    if (version == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (fc_is_ready()) {
        *version = (int)fc_driver.node.state->cuda_version;
        return CUDA_SUCCESS;
    }
    /* Works without cuInit. Closing the file is safe: this process holds no slot yet. */
    *version = 0;
    pthread_mutex_lock(&fc_driver.mu);
    if (fg_node_open(&probe) == 0) {
        *version = (int)probe.state->cuda_version;
        if (!has_slot)
            fg_node_close(&probe);
    }
    pthread_mutex_unlock(&fc_driver.mu);
    return CUDA_SUCCESS;
}

void fc_reap_if_due(void)
{
    struct timespec ts;
    uint64_t now, then = fg_load64_relaxed(&fc_driver.reaped_at);

    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    now = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
    if (now - then < REAP_INTERVAL_NS)
        return;
    /* Relaxed: two threads may both reap, which does no harm. */
    fg_store64_relaxed(&fc_driver.reaped_at, now);
    fg_reap(&fc_driver.node);
}
