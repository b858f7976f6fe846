/* Owns event sets. Events of a set are those posted after the card was registered with it. */
#include "nvml.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SET_MAGIC 0x65766e74u

struct fn_event_set {
    uint32_t magic;
    uint32_t seen;                /* events looked at so far */
    uint64_t types[FG_MAX_CARDS]; /* by card of the node; 0: not registered */
    uint32_t since[FG_MAX_CARDS]; /* first event that counts */
};

static int is_set(nvmlEventSet_t set)
{
    return set != NULL && set->magic == SET_MAGIC;
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *out)
{
    nvmlReturn_t r = fn_ready();

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *out = calloc(1, sizeof(**out));
    if (*out == NULL)
        return NVML_ERROR_MEMORY;
    (*out)->magic = SET_MAGIC;
    /* acquire: pairs with the release that posts an event, as below. */
    (*out)->seen = fg_load32_acquire(&fn_nvml.node.state->event_count);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
    if (!is_set(set))
        return NVML_ERROR_INVALID_ARGUMENT;
    set->magic = 0;
    free(set);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t d, unsigned long long *out)
{
    nvmlReturn_t r = fn_device_check(d);

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *out = NVML_EVENT_XID;
    return NVML_SUCCESS;
}

/* Types that the fake never raises (ECC counters) are accepted by an A100, so they are here. */
nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t d, unsigned long long types, nvmlEventSet_t set)
{
    nvmlReturn_t r = fn_device_check(d);

    if (r != NVML_SUCCESS)
        return r;
    if (!is_set(set))
        return NVML_ERROR_INVALID_ARGUMENT;
    if (set->types[d->card_index] == 0)
        set->since[d->card_index] = fg_load32_acquire(&fn_nvml.node.state->event_count);
    set->types[d->card_index] |= types;
    return NVML_SUCCESS;
}

static struct fn_device *device_of_card(uint32_t card)
{
    for (uint32_t i = 0; i < fn_nvml.node.card_count; i++) {
        if (fn_nvml.devices[i].card_index == card)
            return &fn_nvml.devices[i];
    }
    return NULL;
}

/* The next event of the set, if one was posted. */
static int take_event(nvmlEventSet_t set, nvmlEventData_t *out)
{
    const struct fg_state *s = fn_nvml.node.state;
    uint32_t posted = fg_load32_acquire(&s->event_count);

    if (posted - set->seen > FG_EVENTS) /* the history has forgotten the oldest */
        set->seen = posted - FG_EVENTS;
    while (set->seen != posted) {
        uint32_t at = set->seen++;
        struct fg_event e = s->events[at % FG_EVENTS];
        struct fn_device *d = device_of_card(e.card);

        if (d == NULL || (set->types[e.card] & NVML_EVENT_XID) == 0 ||
            (int32_t)(at - set->since[e.card]) < 0)
            continue;
        *out = (nvmlEventData_t){.device = d,
                                 .eventType = NVML_EVENT_XID,
                                 .eventData = e.xid,
                                 .gpuInstanceId = NVML_NO_INSTANCE,
                                 .computeInstanceId = NVML_NO_INSTANCE};
        return 1;
    }
    return 0;
}

static int has_passed(const struct timespec *deadline)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > deadline->tv_sec ||
           (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

static nvmlReturn_t wait(nvmlEventSet_t set, nvmlEventData_t *out, unsigned timeout_ms)
{
    struct timespec deadline;
    nvmlReturn_t r = fn_ready();

    if (r != NVML_SUCCESS)
        return r;
    if (!is_set(set))
        return NVML_ERROR_INVALID_ARGUMENT;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_nsec -= 1000000000;
        deadline.tv_sec++;
    }
    while (!take_event(set, out)) {
        if (has_passed(&deadline))
            return NVML_ERROR_TIMEOUT;
        /* take_event has looked at everything up to seen: a later one ends the wait at once. */
        fg_event_wait(&fn_nvml.node, set->seen, &deadline);
    }
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *out, unsigned timeout_ms)
{
    return out == NULL ? NVML_ERROR_INVALID_ARGUMENT : wait(set, out, timeout_ms);
}

nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_t *out, unsigned timeout_ms)
{
    nvmlEventData_t e;
    nvmlReturn_t r = out == NULL ? NVML_ERROR_INVALID_ARGUMENT : wait(set, &e, timeout_ms);

    if (r == NVML_SUCCESS)
        memcpy(out, &e, offsetof(nvmlEventData_t, gpuInstanceId));
    return r;
}
