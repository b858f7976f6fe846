/* Owns the lists of processes on a card, in the three layouts that were published. */
#include "nvml.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static size_t collect(const struct fn_device *d, nvmlProcessInfo_t *all)
{
    const struct fg_node *n = &fn_nvml.node;
    uint32_t top = fg_load32_acquire(&n->state->slot_top);
    size_t count = 0;

    fg_reap(n);
    for (uint32_t i = 0; i < top && i < FG_MAX_SLOTS; i++) {
        if (fg_load32_relaxed(&n->state->slots[i].contexts[d->card_index]) == 0)
            continue;
        int pid = fg_slot_owner(n, i);
        if (pid == 0) /* of a pid namespace that the caller cannot see into */
            continue;
        all[count++] = (nvmlProcessInfo_t){
            .pid = (unsigned)pid,
            .usedGpuMemory = fg_load64_relaxed(&n->state->used[d->card_index][i]),
            .gpuInstanceId = NVML_NO_INSTANCE,
            .computeInstanceId = NVML_NO_INSTANCE,
        };
    }
    return count;
}

/* Copies at most *count entries of the layout's size; says how many there are when they do not fit.
 * Version 1 is the beginning of the later layout. */
static nvmlReturn_t list(const struct fn_device *d, unsigned *count, void *out, size_t entry)
{
    nvmlProcessInfo_t all[FG_MAX_SLOTS];
    nvmlReturn_t r = fn_device_check(d);
    unsigned room;
    size_t found;

    if (r != NVML_SUCCESS)
        return r;
    if (count == NULL || (*count > 0 && out == NULL))
        return NVML_ERROR_INVALID_ARGUMENT;
    room = *count;
    found = collect(d, all);
    *count = (unsigned)found;
    if (found > room)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (size_t i = 0; i < found; i++)
        memcpy((char *)out + i * entry, &all[i], entry);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t d, unsigned *count,
                                                  nvmlProcessInfo_v1_t *out)
{
    return list(d, count, out, sizeof(*out));
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t d, unsigned *count,
                                                     nvmlProcessInfo_t *out)
{
    return list(d, count, out, sizeof(*out));
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned *count,
                                                     nvmlProcessInfo_t *out)
{
    return list(d, count, out, sizeof(*out));
}

nvmlReturn_t nvmlSystemGetProcessName(unsigned pid, char *out, unsigned length)
{
    char path[64];
    nvmlReturn_t r = fn_ready();

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL || length == 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NVML_ERROR_NOT_FOUND;
    ssize_t got = read(fd, out, length - 1);
    close(fd);
    out[got > 0 ? got : 0] = '\0'; /* the first argument ends at its own zero */
    return got > 0 ? NVML_SUCCESS : NVML_ERROR_NOT_FOUND;
}
