/* Owns the map of the agent page. */
#include "hc_limits.h"

#include <errno.h>
#include <string.h>

#include "hc_atomic.h"
#include "hc_sys.h"

/* Reads under the sequence count; an agent that rewrites needs microseconds. */
#define ATTEMPTS 100
#define ATTEMPT_US 1000

static uint32_t card_count;
static struct hc_uuid uuids[HC_MAX_CARDS];
static const struct hc_agent_device *devices[HC_MAX_CARDS];

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hc_uuid_parse(const char *text, struct hc_uuid *out)
{
    size_t digits = 0;

    if (strncmp(text, "GPU-", 4) == 0 || strncmp(text, "MIG-", 4) == 0)
        text += 4;
    for (; *text != '\0'; text++) {
        int v = hex(*text);

        if (*text == '-')
            continue;
        if (v < 0 || digits == 32)
            return false;
        uint8_t *b = &out->bytes[digits / 2];
        *b = (uint8_t)(digits % 2 == 0 ? v << 4 : *b | v);
        digits++;
    }
    return digits == 32;
}

static bool page_is_valid(const struct hc_agent_page *p)
{
    return p->magic == HC_AGENT_MAGIC && p->major == HC_ABI_MAJOR &&
           p->header_size >= offsetof(struct hc_agent_page, devices) &&
           p->device_size >= sizeof(struct hc_agent_device) && p->device_size % 8 == 0 &&
           p->header_size % 8 == 0 && p->device_count >= 1 && p->device_count <= HC_MAX_CARDS &&
           p->total_size <= HC_AGENT_PAGE_SIZE &&
           p->header_size + (uint64_t)p->device_size * p->device_count <= p->total_size;
}

static bool cards_read(const struct hc_agent_page *p)
{
    for (uint32_t i = 0; i < p->device_count; i++) {
        const char *at = (const char *)p + p->header_size + (size_t)i * p->device_size;

        devices[i] = (const struct hc_agent_device *)at;
        if (memchr(devices[i]->uuid, '\0', HC_UUID_SIZE) == NULL ||
            !hc_uuid_parse(devices[i]->uuid, &uuids[i]))
            return false;
    }
    card_count = p->device_count;
    return true;
}

/* Reads the list between two equal, even values of the sequence count. */
static int page_read(const struct hc_agent_page *p)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        /* acquire: pairs with the agent's release when it is done. */
        uint64_t before = hc_load_acquire64(&p->sequence);

        if (before % 2 == 0) {
            bool good = page_is_valid(p) && cards_read(p);

            /* acquire: the reads above happen before the second look at the count. */
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (hc_load_relaxed64(&p->sequence) == before) /* relaxed: behind the fence */
                return good ? 0 : EINVAL;
        }
        hc_sys_sleep_us(ATTEMPT_US);
    }
    return EINVAL;
}

int hc_limits_open(const char *path)
{
    uint64_t size = 0;
    void *at = NULL;
    int fd, failed = hc_sys_open(path, false, &fd);

    if (failed != 0)
        return failed == ENOTDIR ? ENOENT : failed;
    failed = hc_sys_size(fd, &size);
    if (failed == 0 && size < HC_AGENT_PAGE_SIZE)
        failed = EINVAL;
    if (failed == 0)
        failed = hc_sys_map_file(fd, HC_AGENT_PAGE_SIZE, false, &at);
    hc_sys_close(fd);
    if (failed == 0)
        failed = page_read(at);
    if (failed != 0) {
        card_count = 0;
        if (at != NULL)
            hc_sys_unmap(at, HC_AGENT_PAGE_SIZE);
    }
    return failed == ENOENT ? EIO : failed; /* ENOENT is kept for "there is no file" */
}

int hc_limits_card(const struct hc_uuid *uuid)
{
    for (uint32_t i = 0; i < card_count; i++) {
        if (memcmp(&uuids[i], uuid, sizeof(*uuid)) == 0)
            return (int)i;
    }
    return -1;
}

uint64_t hc_limits_limit(uint32_t card)
{
    /* relaxed: one number; the agent promises no order between numbers outside the sequence. */
    return hc_load_relaxed64(&devices[card]->limit_bytes);
}

uint64_t hc_limits_context(uint32_t card)
{
    return hc_load_relaxed64(&devices[card]->context_bytes); /* relaxed: as above */
}
