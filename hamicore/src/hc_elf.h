/* Loaded ELF modules, read from their own tables: needs no function of the loader but
 * dl_iterate_phdr, which every libc.so.6 has. */
#ifndef HC_ELF_H
#define HC_ELF_H

#include <stdbool.h>
#include <stdint.h>

struct hc_module {
    char path[512]; /* as the loader knows it; empty: too long */
    uintptr_t start, end;
    uintptr_t base;
    const void *dynamic;
};

/* The first loaded module whose DT_SONAME starts with prefix. */
bool hc_elf_find_module(const char *soname_prefix, struct hc_module *out);
/* The module that the address belongs to; *soname_matches tells whether its name starts so. */
bool hc_elf_module_at(const void *address, const char *soname_prefix, struct hc_module *out,
                      bool *soname_matches);

/* A function that the module defines, whatever its version; NULL: it does not. */
void *hc_elf_function(const struct hc_module *m, const char *name);

static inline bool hc_module_contains(const struct hc_module *m, const void *address)
{
    return (uintptr_t)address >= m->start && (uintptr_t)address < m->end;
}

#endif
