/* Owns the life of NVML in a process, versions, and the ways to a device handle. */
#include "nvml.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct fn_nvml fn_nvml = {.mu = PTHREAD_MUTEX_INITIALIZER};

nvmlReturn_t fn_ready(void)
{
    /* acquire: pairs with the release in start. */
    return fg_load32_acquire(&fn_nvml.users) > 0 ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

nvmlReturn_t fn_device_check(const struct fn_device *d)
{
    if (fn_ready() != NVML_SUCCESS)
        return NVML_ERROR_UNINITIALIZED;
    if (d < fn_nvml.devices || d >= fn_nvml.devices + fn_nvml.node.card_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    /* Relaxed: a fault is seen soon, and orders nothing else. */
    return fg_load32_relaxed(&d->card->fault) == FG_FAULT_LOST ? NVML_ERROR_GPU_IS_LOST
                                                               : NVML_SUCCESS;
}

static nvmlReturn_t start(void)
{
    struct fg_node *n = &fn_nvml.node;
    nvmlReturn_t r = NVML_SUCCESS;

    pthread_mutex_lock(&fn_nvml.mu);
    if (n->state == NULL && fg_node_open(n) != 0)
        r = NVML_ERROR_DRIVER_NOT_LOADED;
    if (r == NVML_SUCCESS) {
        for (uint32_t i = 0; i < n->card_count; i++) {
            uint32_t card = n->card_index[i];
            fn_nvml.devices[i] = (struct fn_device){&n->state->cards[card], card, i};
        }
        /* release: publishes the devices; pairs with fn_ready. */
        fg_store32_release(&fn_nvml.users, fg_load32_relaxed(&fn_nvml.users) + 1);
    }
    pthread_mutex_unlock(&fn_nvml.mu);
    return r;
}

nvmlReturn_t nvmlInit(void)
{
    return start();
}

nvmlReturn_t nvmlInit_v2(void)
{
    return start();
}

nvmlReturn_t nvmlInitWithFlags(unsigned flags)
{
    (void)flags; /* both published flags loosen rules that this driver does not have */
    return start();
}

nvmlReturn_t nvmlShutdown(void)
{
    nvmlReturn_t r = NVML_ERROR_UNINITIALIZED;

    pthread_mutex_lock(&fn_nvml.mu);
    uint32_t users = fg_load32_relaxed(&fn_nvml.users);
    if (users > 0) {
        fg_store32_release(&fn_nvml.users, users - 1);
        r = NVML_SUCCESS;
    }
    pthread_mutex_unlock(&fn_nvml.mu);
    return r;
}

static nvmlReturn_t put_text(char *out, unsigned length, const char *text)
{
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (length <= strlen(text))
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *out, unsigned length)
{
    nvmlReturn_t r = fn_ready();

    return r != NVML_SUCCESS ? r : put_text(out, length, fn_nvml.node.state->driver_version);
}

/* NVML's own version is its major number in front of the driver's version. */
nvmlReturn_t nvmlSystemGetNVMLVersion(char *out, unsigned length)
{
    char text[FG_TEXT + 16];
    nvmlReturn_t r = fn_ready();

    if (r != NVML_SUCCESS)
        return r;
    snprintf(text, sizeof(text), "%u.%s", fn_nvml.node.state->cuda_version / 1000,
             fn_nvml.node.state->driver_version);
    return put_text(out, length, text);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *out)
{
    nvmlReturn_t r = fn_ready();

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *out = (int)fn_nvml.node.state->cuda_version;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *out)
{
    return nvmlSystemGetCudaDriverVersion_v2(out);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *out)
{
    nvmlReturn_t r = fn_ready();

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *out = fn_nvml.node.card_count;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned *out)
{
    return nvmlDeviceGetCount_v2(out);
}

static nvmlReturn_t give(struct fn_device *d, nvmlDevice_t *out)
{
    nvmlReturn_t r = fn_device_check(d);

    if (r == NVML_SUCCESS)
        *out = d;
    return r;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *out)
{
    nvmlReturn_t r = fn_ready();

    if (r != NVML_SUCCESS)
        return r;
    if (out == NULL || index >= fn_nvml.node.card_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    return give(&fn_nvml.devices[index], out);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned index, nvmlDevice_t *out)
{
    return nvmlDeviceGetHandleByIndex_v2(index, out);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *out)
{
    nvmlReturn_t r = fn_ready();

    if (r != NVML_SUCCESS)
        return r;
    if (uuid == NULL || out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < fn_nvml.node.card_count; i++) {
        if (strcasecmp(fn_nvml.devices[i].card->uuid, uuid) == 0)
            return give(&fn_nvml.devices[i], out);
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlDevice_t *out)
{
    unsigned domain, bus, device;
    nvmlReturn_t r = fn_ready();

    if (r != NVML_SUCCESS)
        return r;
    if (id == NULL || out == NULL || sscanf(id, "%x:%x:%x", &domain, &bus, &device) != 3)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < fn_nvml.node.card_count; i++) {
        const struct fg_card *c = fn_nvml.devices[i].card;
        if (c->pci_domain == domain && c->pci_bus == bus && c->pci_device == device)
            return give(&fn_nvml.devices[i], out);
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *id, nvmlDevice_t *out)
{
    return nvmlDeviceGetHandleByPciBusId_v2(id, out);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t d, char *out, unsigned length)
{
    nvmlReturn_t r = fn_device_check(d);

    return r != NVML_SUCCESS ? r : put_text(out, length, d->card->model);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t d, char *out, unsigned length)
{
    nvmlReturn_t r = fn_device_check(d);

    return r != NVML_SUCCESS ? r : put_text(out, length, d->card->uuid);
}

const char *nvmlErrorString(nvmlReturn_t code)
{
    static const struct {
        nvmlReturn_t code;
        const char *text;
    } texts[] = {
        {NVML_SUCCESS, "Success"},
        {NVML_ERROR_UNINITIALIZED, "Uninitialized"},
        {NVML_ERROR_INVALID_ARGUMENT, "Invalid Argument"},
        {NVML_ERROR_NOT_SUPPORTED, "Not Supported"},
        {NVML_ERROR_NOT_FOUND, "Not Found"},
        {NVML_ERROR_INSUFFICIENT_SIZE, "Insufficient Size"},
        {NVML_ERROR_DRIVER_NOT_LOADED, "Driver Not Loaded"},
        {NVML_ERROR_TIMEOUT, "Timeout"},
        {NVML_ERROR_FUNCTION_NOT_FOUND, "Function Not Found"},
        {NVML_ERROR_GPU_IS_LOST, "GPU is lost"},
        {NVML_ERROR_MEMORY, "Insufficient Memory"},
        {NVML_ERROR_ARGUMENT_VERSION_MISMATCH, "Argument version mismatch"},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].code == code)
            return texts[i].text;
    }
    return "Unknown Error";
}
