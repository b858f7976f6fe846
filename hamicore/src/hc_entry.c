/*
 * Owns the ways by which a program gets at the driver's functions: dlsym, dlvsym, cuGetProcAddress.
 * (A program that is linked to the driver gets our exports, because we are loaded first.)
 *
 * Name first: a name that is in no family of ours, and every RTLD_NEXT and RTLD_DEFAULT look-up,
 * whose meaning depends on who asks, goes to libc with the caller's return address. For the rest
 * the real look-up runs unchanged, and the address that it gives decides which hook is meant.
 */
#define _GNU_SOURCE
#include "hc_entry.h"

#include <dlfcn.h>
#include <errno.h>

#include "hc_driver.h"

static const struct hc_family *family_asked(void *handle, const char *name)
{
    if (name == NULL || hc_inside != 0 || handle == RTLD_NEXT || handle == RTLD_DEFAULT)
        return NULL;
    if ((name[0] != 'c' || name[1] != 'u') && (name[0] != 'n' || name[1] != 'v'))
        return NULL;
    return hc_family_of(name);
}

/* errno as the real look-up left it. */
static void *hook_for(const struct hc_family *family, void *address)
{
    int saved = errno;
    void *hook = hc_family_hook(family, address);

    errno = saved;
    return hook;
}

struct hc_route hc_route_dlsym(void *handle, const char *name)
{
    const struct hc_family *family = family_asked(handle, name);
    hc_dlsym_fn *real = hc_libc_dlsym();

    if (family == NULL || real == NULL)
        return (struct hc_route){.jump = (void *)real};
    return (struct hc_route){.result = hook_for(family, real(handle, name))};
}

struct hc_route hc_route_dlvsym(void *handle, const char *name, const char *version)
{
    const struct hc_family *family = family_asked(handle, name);
    hc_dlvsym_fn *real = hc_libc_dlvsym();

    if (family == NULL || real == NULL)
        return (struct hc_route){.jump = (void *)real};
    return (struct hc_route){.result = hook_for(family, real(handle, name, version))};
}

static hc_result answer(hc_result r, const char *symbol, void **fn)
{
    const struct hc_family *family;

    if (r != HC_CUDA_SUCCESS || hc_inside != 0 || symbol == NULL || fn == NULL || *fn == NULL)
        return r;
    family = hc_family_of(symbol);
    if (family != NULL)
        *fn = hook_for(family, *fn);
    return r;
}

hc_result cuGetProcAddress(const char *symbol, void **fn, int version, uint64_t flags)
{
    return answer(hc_real.cuGetProcAddress(symbol, fn, version, flags), symbol, fn);
}

hc_result cuGetProcAddress_ptsz(const char *symbol, void **fn, int version, uint64_t flags)
{
    return answer(hc_real.cuGetProcAddress_ptsz(symbol, fn, version, flags), symbol, fn);
}

hc_result cuGetProcAddress_v2(const char *symbol, void **fn, int version, uint64_t flags,
                              int *status)
{
    return answer(hc_real.cuGetProcAddress_v2(symbol, fn, version, flags, status), symbol, fn);
}

hc_result cuGetProcAddress_v2_ptsz(const char *symbol, void **fn, int version, uint64_t flags,
                                   int *status)
{
    return answer(hc_real.cuGetProcAddress_v2_ptsz(symbol, fn, version, flags, status), symbol, fn);
}
