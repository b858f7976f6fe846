/* Owns the walk over loaded modules and their GNU hash tables. */
#define _GNU_SOURCE
#include "hc_elf.h"

#include <elf.h>
#include <link.h>
#include <string.h>

/* What one module's dynamic section says. */
struct tables {
    const ElfW(Sym) * symbols;
    const char *strings;
    const uint32_t *gnu_hash;
    const ElfW(Half) * versions;
    const char *soname;
};

/* glibc has relocated most d_ptr entries in place; the vdso's and other loaders' it leaves alone.
 */
static uintptr_t absolute(uintptr_t base, ElfW(Addr) value)
{
    return value >= base ? value : base + value;
}

static void tables_read(uintptr_t base, const ElfW(Dyn) * dynamic, struct tables *t)
{
    const ElfW(Dyn) *soname = NULL;

    *t = (struct tables){0};
    for (const ElfW(Dyn) *d = dynamic; d->d_tag != DT_NULL; d++) {
        switch (d->d_tag) {
        case DT_SYMTAB:
            t->symbols = (const void *)absolute(base, d->d_un.d_ptr);
            break;
        case DT_STRTAB:
            t->strings = (const void *)absolute(base, d->d_un.d_ptr);
            break;
        case DT_GNU_HASH:
            t->gnu_hash = (const void *)absolute(base, d->d_un.d_ptr);
            break;
        case DT_VERSYM:
            t->versions = (const void *)absolute(base, d->d_un.d_ptr);
            break;
        case DT_SONAME:
            soname = d;
            break;
        }
    }
    if (soname != NULL && t->strings != NULL)
        t->soname = t->strings + soname->d_un.d_val;
}

struct search {
    const char *prefix;
    const void *address; /* NULL: by name */
    struct hc_module *out;
    bool matches;
};

static int visit(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *s = data;
    struct hc_module m = {.base = info->dlpi_addr, .start = UINTPTR_MAX};
    struct tables t;

    (void)size;
    for (ElfW(Half) i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t at = m.base + p->p_vaddr;

        if (p->p_type == PT_DYNAMIC)
            m.dynamic = (const void *)at;
        if (p->p_type != PT_LOAD)
            continue;
        if (at < m.start)
            m.start = at;
        if (at + p->p_memsz > m.end)
            m.end = at + p->p_memsz;
    }
    if (m.dynamic == NULL || (s->address != NULL && !hc_module_contains(&m, s->address)))
        return 0;
    tables_read(m.base, m.dynamic, &t);
    s->matches = t.soname != NULL && strncmp(t.soname, s->prefix, strlen(s->prefix)) == 0;
    if (s->address == NULL && !s->matches)
        return 0;
    if (strlen(info->dlpi_name) < sizeof(m.path))
        strcpy(m.path, info->dlpi_name);
    *s->out = m;
    return 1;
}

bool hc_elf_find_module(const char *soname_prefix, struct hc_module *out)
{
    struct search s = {.prefix = soname_prefix, .out = out};

    return dl_iterate_phdr(visit, &s) != 0;
}

bool hc_elf_module_at(const void *address, const char *soname_prefix, struct hc_module *out,
                      bool *soname_matches)
{
    struct search s = {.prefix = soname_prefix, .address = address, .out = out};
    bool found = dl_iterate_phdr(visit, &s) != 0;

    *soname_matches = found && s.matches;
    return found;
}

static uint32_t gnu_hash(const char *name)
{
    uint32_t h = 5381;

    for (; *name != '\0'; name++)
        h = h * 33 + (unsigned char)*name;
    return h;
}

/* Defined here and a function; a hidden version (an old one beside the default) only if nothing
 * better comes. */
static const ElfW(Sym) * symbol_find(const struct tables *t, const char *name)
{
    uint32_t bucket_count = t->gnu_hash[0], first = t->gnu_hash[1], bloom = t->gnu_hash[2];
    const uint32_t *buckets = t->gnu_hash + 4 + bloom * (sizeof(ElfW(Addr)) / 4);
    const uint32_t *chains = buckets + bucket_count;
    const ElfW(Sym) *hidden = NULL;
    uint32_t h = gnu_hash(name), i;

    if (bucket_count == 0)
        return NULL;
    i = buckets[h % bucket_count];
    if (i < first)
        return NULL;
    for (;; i++) {
        const ElfW(Sym) *s = &t->symbols[i];
        uint32_t chain = chains[i - first];

        if ((chain | 1) == (h | 1) && s->st_shndx != SHN_UNDEF &&
            strcmp(t->strings + s->st_name, name) == 0) {
            if (t->versions == NULL || (t->versions[i] & 0x8000) == 0)
                return s;
            hidden = s;
        }
        if ((chain & 1) != 0)
            return hidden;
    }
}

void *hc_elf_function(const struct hc_module *m, const char *name)
{
    const ElfW(Sym) * s;
    struct tables t;
    uintptr_t at;

    tables_read(m->base, m->dynamic, &t);
    if (t.gnu_hash == NULL || t.symbols == NULL || t.strings == NULL)
        return NULL;
    s = symbol_find(&t, name);
    if (s == NULL)
        return NULL;
    at = m->base + s->st_value;
    if ((s->st_info & 0xf) == STT_GNU_IFUNC)
        at = ((uintptr_t(*)(void))at)();
    return (void *)at;
}
