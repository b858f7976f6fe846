/*
 * The driver's libraries as the program has loaded them, and typed pointers to their functions.
 * A pointer that is not resolved yet leads to a function that resolves it, so callers need no
 * check; one that the library lacks answers "not supported".
 */
#ifndef HC_DRIVER_H
#define HC_DRIVER_H

#include <stdbool.h>

#include "hc_cuda.h"
#include "hc_limits.h"
#include "hc_rows.h"

enum hc_library { HC_LIBRARY_CUDA, HC_LIBRARY_NVML, HC_LIBRARIES };
enum hc_kind { HC_KIND_ENTRY, HC_KIND_CHARGED, HC_KIND_VIEW };

struct hc_real {
#define ROW(library, family, name, since, stream, kind, params, args) hc_result(*name) params;
#define USE(library, name, params, args) hc_result(*name) params;
    HC_ROWS(ROW) HC_USES(USE)
#undef ROW
#undef USE
};

/* The driver's functions. Each pointer is written once, when its library is adopted. */
extern struct hc_real hc_real;

#define HC_EXPORT __attribute__((visibility("default")))
#define ROW(library, family, name, since, stream, kind, params, args)                              \
    HC_EXPORT hc_result name params;
HC_ROWS(ROW)
#undef ROW

/* True while the driver is called by us: what it calls in turn is its own business. */
extern __thread uint32_t hc_inside __attribute__((tls_model("initial-exec")));

/* Finds the library among the loaded ones, once; false: it is not loaded. */
bool hc_driver_adopt(enum hc_library library);
/* The library has this function (and is loaded). */
bool hc_driver_has_at(const void *pointer);
#define HC_DRIVER_HAS(name) hc_driver_has_at((const void *)hc_real.name)

/* The hook for the address that the driver gave for a name; the address itself where it is none of
 * ours; NULL where it belongs to a second copy of the driver. Precondition: the name has a family.
 */
struct hc_family;
const struct hc_family *hc_family_of(const char *name);
void *hc_family_hook(const struct hc_family *family, void *address);

/* libc's own, found by their ELF symbols; NULL where libdl is not loaded. */
typedef void *hc_dlsym_fn(void *handle, const char *name);
typedef void *hc_dlvsym_fn(void *handle, const char *name, const char *version);
hc_dlsym_fn *hc_libc_dlsym(void);
hc_dlvsym_fn *hc_libc_dlvsym(void);

#endif
