/* Owns what touches memory through an address: attributes, copies, fills. Everything completes
 * before the call returns. Blocks above FC_SHADOW_MAX keep no content: ranges are still checked. */
#include <string.h>

#include "driver.h"

/* Answers for one address, taken under the window's lock. */
struct place {
    CUdeviceptr base;
    uint64_t size;
    CUcontext context;
    int ordinal;
    bool managed;
};

static bool place_of(CUdeviceptr p, struct place *out)
{
    struct fc_hit hit;
    struct fc_window *w = fc_window_of(p);
    bool found;

    if (w == NULL)
        return false;
    pthread_mutex_lock(&w->mu);
    found = fc_find(w, p, &hit);
    if (found) {
        uint32_t card = fc_hit_card(&hit);
        *out = (struct place){
            .base = hit.base,
            .size = hit.size,
            .context = hit.context == 0 ? NULL : &fc_driver.contexts[hit.context - 1],
            .ordinal = fc_driver.devices[card].ordinal,
            .managed = hit.block->arena != NULL && hit.block->arena->managed,
        };
    }
    pthread_mutex_unlock(&w->mu);
    return found;
}

static CUresult answer(void *data, int attribute, CUdeviceptr p, const struct place *at)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        *(CUcontext *)data = at->context;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *(unsigned *)data = CU_MEMORYTYPE_DEVICE;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        *(CUdeviceptr *)data = p;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        if (!at->managed)
            return CUDA_ERROR_INVALID_VALUE;
        *(void **)data = (void *)(uintptr_t)p;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        *(unsigned *)data = at->managed;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *(int *)data = at->ordinal;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *(CUdeviceptr *)data = at->base;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        *(size_t *)data = at->size;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPED:
        *(unsigned *)data = 1;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}

CUresult cuPointerGetAttribute(void *data, int attribute, CUdeviceptr p)
{
    struct place at;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (data == NULL || !place_of(p, &at))
        return CUDA_ERROR_INVALID_VALUE;
    return answer(data, attribute, p, &at);
}

/* Unlike the single question, this one succeeds for host memory, and zeroes what it cannot say. */
CUresult cuPointerGetAttributes(unsigned count, int *attributes, void **data, CUdeviceptr p)
{
    struct place at;
    bool known;

    if (!fc_is_ready())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (attributes == NULL || data == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    known = place_of(p, &at);
    for (unsigned i = 0; i < count; i++) {
        bool wide = attributes[i] == CU_POINTER_ATTRIBUTE_CONTEXT ||
                    attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_POINTER ||
                    attributes[i] == CU_POINTER_ATTRIBUTE_HOST_POINTER ||
                    attributes[i] == CU_POINTER_ATTRIBUTE_RANGE_START_ADDR ||
                    attributes[i] == CU_POINTER_ATTRIBUTE_RANGE_SIZE;

        if (known && answer(data[i], attributes[i], p, &at) == CUDA_SUCCESS)
            continue;
        memset(data[i], 0, wide ? sizeof(uint64_t) : sizeof(uint32_t));
        if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
            *(int *)data[i] = -2; /* what the driver says of memory it does not know */
    }
    return CUDA_SUCCESS;
}

enum direction { TO_DEVICE, FROM_DEVICE, FILL };

/* One contiguous range of device memory. Precondition: the window's mu is held. */
static CUresult move_locked(struct fc_window *w, CUdeviceptr p, size_t bytes, enum direction how,
                            void *host, int value)
{
    struct fc_hit hit;
    char *shadow;

    if (!fc_find(w, p, &hit) || bytes > hit.size - (p - hit.base))
        return CUDA_ERROR_INVALID_VALUE;
    shadow = fc_shadow(&hit, p);
    if (shadow == NULL) {
        if (how == FROM_DEVICE)
            memset(host, 0, bytes);
        return CUDA_SUCCESS;
    }
    if (how == TO_DEVICE)
        memcpy(shadow, host, bytes);
    else if (how == FROM_DEVICE)
        memcpy(host, shadow, bytes);
    else
        memset(shadow, value, bytes);
    return CUDA_SUCCESS;
}

static CUresult move(CUdeviceptr p, size_t bytes, enum direction how, void *host, int value)
{
    struct fc_context *c;
    struct fc_window *w = fc_window_of(p);
    CUresult r = fc_current(&c);

    if (r != CUDA_SUCCESS || bytes == 0)
        return r;
    if (w == NULL || (how != FILL && host == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&w->mu);
    r = move_locked(w, p, bytes, how, host, value);
    pthread_mutex_unlock(&w->mu);
    return r;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
    return move(to, bytes, TO_DEVICE, (void *)(uintptr_t)from, 0);
}

CUresult cuMemcpyHtoD_v2_ptds(CUdeviceptr to, const void *from, size_t bytes)
{
    return cuMemcpyHtoD_v2(to, from, bytes);
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    return move(from, bytes, FROM_DEVICE, to, 0);
}

CUresult cuMemcpyDtoH_v2_ptds(void *to, CUdeviceptr from, size_t bytes)
{
    return cuMemcpyDtoH_v2(to, from, bytes);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    char part[4096];

    /* In parts through the stack: source and destination may be on different cards. */
    for (size_t done = 0; done < bytes; done += sizeof(part)) {
        size_t n = bytes - done < sizeof(part) ? bytes - done : sizeof(part);
        CUresult r = cuMemcpyDtoH_v2(part, from + done, n);

        if (r == CUDA_SUCCESS)
            r = cuMemcpyHtoD_v2(to + done, part, n);
        if (r != CUDA_SUCCESS)
            return r;
    }
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoD_v2_ptds(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    return cuMemcpyDtoD_v2(to, from, bytes);
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes)
{
    return move(to, bytes, FILL, NULL, value);
}

CUresult cuMemsetD8_v2_ptds(CUdeviceptr to, unsigned char value, size_t bytes)
{
    return cuMemsetD8_v2(to, value, bytes);
}
