/* Owns the adoption of the driver's libraries and the table of intercepted symbols. */
#define _GNU_SOURCE
#include "hc_driver.h"

#include <dlfcn.h>
#include <string.h>

#include "hc_account.h"
#include "hc_atomic.h"
#include "hc_elf.h"
#include "hc_region.h"
#include "hc_sys.h"

__thread uint32_t hc_inside __attribute__((tls_model("initial-exec")));

static const char *const sonames[HC_LIBRARIES] = {"libcuda.so", "libnvidia-ml.so"};
static const hc_result missing[HC_LIBRARIES] = {HC_CUDA_NOT_SUPPORTED, HC_NVML_FUNCTION_NOT_FOUND};

static struct hc_lock adopt_lock;
static struct hc_module modules[HC_LIBRARIES]; /* written before adopted, under adopt_lock */
static uint32_t adopted[HC_LIBRARIES];

/* Where each pointer starts: adopt, then call what is there now. */
#define FIRST(library, name, params, args)                                                         \
    static hc_result first_##name params                                                           \
    {                                                                                              \
        hc_driver_adopt(HC_LIBRARY_##library);                                                     \
        return hc_real.name == first_##name ? missing[HC_LIBRARY_##library] : hc_real.name args;   \
    }
#define ROW(library, family, name, since, stream, kind, params, args)                              \
    FIRST(library, name, params, args)
#define USE(library, name, params, args) FIRST(library, name, params, args)
HC_ROWS(ROW)
HC_USES(USE)
#undef ROW
#undef USE
#undef FIRST

struct hc_real hc_real = {
#define ROW(library, family, name, since, stream, kind, params, args) .name = first_##name,
#define USE(library, name, params, args) .name = first_##name,
    HC_ROWS(ROW) HC_USES(USE)
#undef ROW
#undef USE
};

struct row {
    const char *family, *name;
    void *hook;
    void **real;
    void *first;
    int since;
    uint8_t library, stream, kind;
};

/* A function and a data pointer have one size on every system that has this driver. */
#define ROW(library, family, name, since, stream, kind, params, args)                              \
    {#family,                                                                                      \
     #name,                                                                                        \
     (void *)name,                                                                                 \
     (void **)&hc_real.name,                                                                       \
     (void *)first_##name,                                                                         \
     since,                                                                                        \
     HC_LIBRARY_##library,                                                                         \
     stream,                                                                                       \
     HC_KIND_##kind},
static const struct row rows[] = {HC_ROWS(ROW)};
#undef ROW
#define USE(library, name, params, args)                                                           \
    {#name,                                                                                        \
     #name,                                                                                        \
     NULL,                                                                                         \
     (void **)&hc_real.name,                                                                       \
     (void *)first_##name,                                                                         \
     0,                                                                                            \
     HC_LIBRARY_##library,                                                                         \
     0,                                                                                            \
     HC_KIND_ENTRY},
static const struct row uses[] = {HC_USES(USE)};
#undef USE

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
#define USE_COUNT (sizeof(uses) / sizeof(uses[0]))
#define BUCKETS 256u

/* What cuGetProcAddress gives for each row, where that differs from the exported symbol. */
static void *aliases[ROW_COUNT];

/* A family is its first row. Buckets hold row + 1; filled once. */
struct hc_family {
    struct row row;
};
static uint8_t buckets[BUCKETS];
static uint32_t buckets_ready;
static struct hc_lock buckets_lock;

static uint32_t hash(const char *s, size_t length)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h ^ h >> 15;
}

static void buckets_fill(void)
{
    hc_lock(&buckets_lock);
    if (hc_load_relaxed32(&buckets_ready) == 0) { /* relaxed: only changed under the lock */
        memset(buckets, 0, sizeof(buckets));
        for (size_t i = 0; i < ROW_COUNT; i++) {
            uint32_t b = hash(rows[i].family, strlen(rows[i].family));

            if (i > 0 && strcmp(rows[i].family, rows[i - 1].family) == 0)
                continue;
            while (buckets[b % BUCKETS] != 0)
                b++;
            buckets[b % BUCKETS] = (uint8_t)(i + 1);
        }
        /* release: publishes the buckets; pairs with the acquire in hc_family_of. */
        hc_store_release32(&buckets_ready, 1);
    }
    hc_unlock(&buckets_lock);
}

/* Length of the name without "_ptsz" or "_ptds", then without "_v" and digits. */
static size_t family_length(const char *name)
{
    size_t n = strlen(name), digits;

    if (n > 5 && (strcmp(name + n - 5, "_ptsz") == 0 || strcmp(name + n - 5, "_ptds") == 0))
        n -= 5;
    digits = n;
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
        digits--;
    if (digits < n && digits > 2 && name[digits - 1] == 'v' && name[digits - 2] == '_')
        n = digits - 2;
    return n;
}

const struct hc_family *hc_family_of(const char *name)
{
    size_t length = family_length(name);

    /* acquire: pairs with the release in buckets_fill. */
    if (hc_load_acquire32(&buckets_ready) == 0)
        buckets_fill();
    for (uint32_t b = hash(name, length); buckets[b % BUCKETS] != 0; b++) {
        const struct row *r = &rows[buckets[b % BUCKETS] - 1];

        if (strncmp(r->family, name, length) == 0 && r->family[length] == '\0')
            return (const struct hc_family *)r;
    }
    return NULL;
}

static void *libc_function(const char *name)
{
    static const char *const homes[] = {"libdl.so.2", "libc.so.6"};
    struct hc_module m;

    for (size_t i = 0; i < 2; i++) {
        void *at = hc_elf_find_module(homes[i], &m) ? hc_elf_function(&m, name) : NULL;

        if (at != NULL) /* a libdl.so.2 since glibc 2.34 is empty */
            return at;
    }
    return NULL;
}

/* Finding it twice does no harm: release and acquire only so that the pointer is whole. */
static void *libc_function_once(void **slot, const char *name)
{
    void *at = hc_load_acquire_ptr(slot);

    if (__builtin_expect(at == NULL, 0)) {
        at = libc_function(name);
        hc_store_release_ptr(slot, at);
    }
    return at;
}

hc_dlsym_fn *hc_libc_dlsym(void)
{
    static void *at;

    return (hc_dlsym_fn *)libc_function_once(&at, "dlsym");
}

hc_dlvsym_fn *hc_libc_dlvsym(void)
{
    static void *at;

    return (hc_dlvsym_fn *)libc_function_once(&at, "dlvsym");
}

/* The library stays as long as we point into it. Loads nothing: NOLOAD. */
static void pin(const struct hc_module *m)
{
    void *(*open)(const char *, int) = (void *(*)(const char *, int))libc_function("dlopen");

    if (open != NULL && m->path[0] != '\0')
        open(m->path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* The driver may give out other addresses than it exports; ask it for each row, by the version that
 * the row is from. */
static void aliases_learn(void)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        uint64_t flags = rows[i].stream != 0 ? HC_PROC_PER_THREAD_STREAM : HC_PROC_LEGACY_STREAM;
        void *at = NULL;
        int status, r;

        if (rows[i].library != HC_LIBRARY_CUDA || *rows[i].real == rows[i].first)
            continue;
        if (HC_DRIVER_HAS(cuGetProcAddress_v2))
            r = hc_real.cuGetProcAddress_v2(rows[i].family, &at, rows[i].since, flags, &status);
        else if (HC_DRIVER_HAS(cuGetProcAddress))
            r = hc_real.cuGetProcAddress(rows[i].family, &at, rows[i].since, flags);
        else
            return; /* a driver before 11.3 */
        if (r == HC_CUDA_SUCCESS && at != *rows[i].real)
            aliases[i] = at;
    }
}

static void resolve(const struct row *r, const struct hc_module *m)
{
    void *at = hc_elf_function(m, r->name);

    if (at != NULL)
        hc_store_release_ptr(r->real, at); /* release: whole for callers without a lock */
}

bool hc_driver_has_at(const void *pointer)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].first == pointer)
            return false;
    }
    for (size_t i = 0; i < USE_COUNT; i++) {
        if (uses[i].first == pointer)
            return false;
    }
    return true;
}

/* Precondition: adopt_lock is held, hc_inside is set. */
static void adopt(enum hc_library library, const struct hc_module *m)
{
    modules[library] = *m;
    pin(m);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].library == library)
            resolve(&rows[i], m);
    }
    for (size_t i = 0; i < USE_COUNT; i++) {
        if (uses[i].library == library)
            resolve(&uses[i], m);
    }
    if (library == HC_LIBRARY_CUDA)
        aliases_learn();
}

/* at: adopt the copy that this address belongs to, if none is adopted yet; NULL: the first one. */
static bool adopt_once(enum hc_library library, const void *at)
{
    bool ready, named;
    struct hc_module m;

    /* acquire: pairs with the release below. */
    if (hc_load_acquire32(&adopted[library]) != 0)
        return true;
    /* The loader's lock comes before ours: it is held while constructors run, and they may call us.
     */
    if (at != NULL ? !(hc_elf_module_at(at, sonames[library], &m, &named) && named)
                   : !hc_elf_find_module(sonames[library], &m))
        return false;
    hc_inside++;
    hc_lock(&adopt_lock);
    ready = hc_load_acquire32(&adopted[library]) != 0;
    if (!ready) {
        adopt(library, &m);
        /* release: publishes module, pointers and aliases. */
        hc_store_release32(&adopted[library], 1);
    }
    hc_unlock(&adopt_lock);
    hc_inside--;
    return true;
}

bool hc_driver_adopt(enum hc_library library)
{
    return adopt_once(library, NULL);
}

static void *refuse_foreign(enum hc_library library)
{
    static uint32_t said;

    if (hc_account_mode() == HC_MODE_OFF)
        return NULL;
    hc_region_alarm(HC_ALARM_FOREIGN_DRIVER);
    if (hc_exchange_acqrel32(&said, 1) == 0)
        hc_sys_message((const char *const[]){"this program has loaded a second copy of ",
                                             sonames[library], "; its functions are refused",
                                             NULL});
    return NULL;
}

void *hc_family_hook(const struct hc_family *family, void *address)
{
    const struct row *first = &family->row, *end = rows + ROW_COUNT;
    enum hc_library library = first->library;
    struct hc_module m;
    bool named;

    if (address == NULL || !adopt_once(library, address)) {
        if (address == NULL || !hc_driver_adopt(library))
            return address; /* our own export, or a stranger's function of that name */
    }
    for (const struct row *r = first; r < end && strcmp(r->family, first->family) == 0; r++) {
        if (address == *r->real || address == aliases[r - rows] || address == r->hook)
            return r->hook;
    }
    if (hc_module_contains(&modules[library], address)) {
        /* A version that we do not know has another prototype: forwarded, never guessed. */
        if (first->kind == HC_KIND_CHARGED && hc_account_mode() == HC_MODE_ON)
            hc_region_alarm(HC_ALARM_UNKNOWN_SYMBOL);
        return address;
    }
    if (hc_elf_module_at(address, sonames[library], &m, &named) && named &&
        hc_account_mode() != HC_MODE_OFF)
        return refuse_foreign(library);
    return address;
}
