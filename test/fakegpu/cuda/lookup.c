/* Owns names: symbols by version (cuGetProcAddress), error texts, export tables. */
#include <string.h>

#include "api_table.h"
#include "driver.h"

struct symbol {
    const char *name;
    void *address;
    int since, until;
    uint32_t stream;
};

#define ROW(name, symbol, since, until, stream) {#name, (void *)symbol, since, until, stream},
static const struct symbol symbols[] = {FC_API_TABLE(ROW)};
#undef ROW

#define SYMBOL_COUNT (sizeof(symbols) / sizeof(symbols[0]))
#define BUCKETS 256

/* First row of each name by hash; rows of a name stand together. Built once, like the table. */
static uint16_t buckets[BUCKETS]; /* row + 1 */
static pthread_once_t buckets_once = PTHREAD_ONCE_INIT;

static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u;

    for (; *s != '\0'; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h ^ h >> 15;
}

static void buckets_fill(void)
{
    for (size_t i = 0; i < SYMBOL_COUNT; i++) {
        uint32_t b = hash(symbols[i].name);

        if (i > 0 && strcmp(symbols[i].name, symbols[i - 1].name) == 0)
            continue;
        while (buckets[b % BUCKETS] != 0)
            b++;
        buckets[b % BUCKETS] = (uint16_t)(i + 1);
    }
}

static const struct symbol *first_row(const char *name)
{
    pthread_once(&buckets_once, buckets_fill);
    for (uint32_t b = hash(name); buckets[b % BUCKETS] != 0; b++) {
        const struct symbol *s = &symbols[buckets[b % BUCKETS] - 1];
        if (strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

static bool exists(const struct symbol *s, int version)
{
    return s->since <= version && (s->until == 0 || version < s->until);
}

/* The newest row that both the driver and the asked version know; the per-thread twin is preferred
 * where it is asked for, and never given where it is not. */
static const struct symbol *choose(const struct symbol *first, int version, int driver,
                                   bool per_thread)
{
    const struct symbol *end = symbols + SYMBOL_COUNT, *best = NULL;

    for (const struct symbol *s = first; s < end && strcmp(s->name, first->name) == 0; s++) {
        if (!exists(s, driver) || !exists(s, version) || (s->stream != 0 && !per_thread))
            continue;
        if (best == NULL || s->stream > best->stream ||
            (s->stream == best->stream && s->since > best->since))
            best = s;
    }
    return best;
}

static CUresult look_up(const char *name, void **fn, int version, uint64_t flags,
                        CUdriverProcAddressQueryResult *status)
{
    bool per_thread = (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0;
    const struct symbol *first, *chosen = NULL;
    CUdriverProcAddressQueryResult ignored;
    int driver = 0;

    if (name == NULL || fn == NULL || flags > 2)
        return CUDA_ERROR_INVALID_VALUE;
    if (status == NULL)
        status = &ignored;
    *fn = NULL;
    *status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    cuDriverGetVersion(&driver);
    first = first_row(name);
    if (first != NULL)
        chosen = choose(first, version, driver, per_thread);
    if (chosen == NULL) {
        if (first != NULL && choose(first, driver, driver, per_thread) != NULL)
            *status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
        return CUDA_ERROR_NOT_FOUND;
    }
    *fn = chosen->address;
    *status = CU_GET_PROC_ADDRESS_SUCCESS;
    return CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char *symbol, void **fn, int version, uint64_t flags)
{
    return look_up(symbol, fn, version, flags, NULL);
}

CUresult cuGetProcAddress_v2(const char *symbol, void **fn, int version, uint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
    return look_up(symbol, fn, version, flags, status);
}

/* Programs built for the per-thread default stream get its twins unless they ask otherwise. */
static uint64_t twin_flags(uint64_t flags)
{
    return flags == CU_GET_PROC_ADDRESS_DEFAULT ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
                                                : flags;
}

CUresult cuGetProcAddress_ptsz(const char *symbol, void **fn, int version, uint64_t flags)
{
    return look_up(symbol, fn, version, twin_flags(flags), NULL);
}

CUresult cuGetProcAddress_v2_ptsz(const char *symbol, void **fn, int version, uint64_t flags,
                                  CUdriverProcAddressQueryResult *status)
{
    return look_up(symbol, fn, version, twin_flags(flags), status);
}

/* The driver's private tables: none here, and that is an answer programs must cope with. */
CUresult cuGetExportTable(const void **table, const CUuuid *id)
{
    if (table == NULL || id == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

struct error_text {
    CUresult error;
    const char *name, *text;
};

#define ERROR(name, text)                                                                          \
    {                                                                                              \
        name, #name, text                                                                          \
    }
static const struct error_text errors[] = {
    ERROR(CUDA_SUCCESS, "no error"),
    ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    ERROR(CUDA_ERROR_DEVICE_UNAVAILABLE, "CUDA-capable device(s) is/are busy or unavailable"),
    ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    ERROR(CUDA_ERROR_ECC_UNCORRECTABLE, "uncorrectable ECC error encountered"),
    ERROR(CUDA_ERROR_OPERATING_SYSTEM, "OS call failed or operation not supported on this OS"),
    ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    ERROR(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, "cannot set while device is active in this process"),
    ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
    ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
};
#undef ERROR

static const struct error_text *error_of(CUresult error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i].error == error)
            return &errors[i];
    }
    return NULL;
}

CUresult cuGetErrorName(CUresult error, const char **text)
{
    const struct error_text *e = error_of(error);

    if (text == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *text = e == NULL ? NULL : e->name;
    return e == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    const struct error_text *e = error_of(error);

    if (text == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *text = e == NULL ? NULL : e->text;
    return e == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
