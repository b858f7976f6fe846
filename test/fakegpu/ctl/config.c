/* Owns cards.json: which keys there are, and what they mean for the state. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "json.h"

enum field_kind { TEXT, U32, I32, MIB, PCI, VERSION };

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
};

static const struct field card_fields[] = {
    {"model", TEXT, offsetof(struct fg_card, model)},
    {"uuid", TEXT, offsetof(struct fg_card, uuid)},
    {"memoryMiB", MIB, offsetof(struct fg_card, memory_bytes)},
    {"pciBusId", PCI, offsetof(struct fg_card, pci_domain)},
    {"pciId", U32, offsetof(struct fg_card, pci_id)},
    {"numa", I32, offsetof(struct fg_card, numa)},
    {"computeCapability", VERSION, offsetof(struct fg_card, cc_major)},
    {"multiprocessors", U32, offsetof(struct fg_card, multiprocessors)},
    {"brand", U32, offsetof(struct fg_card, brand)},
    {"architecture", U32, offsetof(struct fg_card, architecture)},
};

static const struct field node_fields[] = {
    {"driverVersion", TEXT, offsetof(struct fg_state, driver_version)},
    {"contextMiB", MIB, offsetof(struct fg_state, context_bytes)},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* "12.8" is 12080; 0: not a version. */
static uint32_t cuda_number(const char *text)
{
    unsigned major, minor;
    char rest;

    if (sscanf(text, "%u.%u%c", &major, &minor, &rest) != 2 || major > 99 || minor > 99)
        return 0;
    return major * 1000 + minor * 10;
}

static void want_kind(const struct json *v, enum json_kind kind, const char *name)
{
    if (v->kind != kind)
        ctl_fail("%s: want a %s", v->key, name);
}

static uint64_t whole_number(const struct json *v)
{
    want_kind(v, JSON_NUMBER, "number");
    if (v->number < 0 || v->number > 1e15 || v->number != (double)(uint64_t)v->number)
        ctl_fail("%s: want a whole number that is not negative", v->key);
    return (uint64_t)v->number;
}

static void set_text(char *out, const struct json *v)
{
    want_kind(v, JSON_STRING, "string");
    if (strlen(v->text) >= FG_TEXT)
        ctl_fail("%s: longer than %d characters", v->key, FG_TEXT - 1);
    strcpy(out, v->text);
}

/* Several numbers in one string go to neighbouring fields. */
static void set_parts(uint32_t *out, const struct json *v, const char *format, int parts)
{
    want_kind(v, JSON_STRING, "string");
    if (sscanf(v->text, format, &out[0], &out[1], &out[2]) != parts)
        ctl_fail("%s: %s is malformed", v->key, v->text);
}

static void set_field(char *base, const struct field *f, const struct json *v)
{
    char *at = base + f->offset;

    switch (f->kind) {
    case TEXT:
        set_text(at, v);
        return;
    case U32:
    case I32:
        *(uint32_t *)(void *)at = (uint32_t)whole_number(v);
        return;
    case MIB:
        *(uint64_t *)(void *)at = whole_number(v) << 20;
        return;
    case PCI:
        set_parts((uint32_t *)(void *)at, v, "%x:%x:%x", 3);
        return;
    case VERSION:
        set_parts((uint32_t *)(void *)at, v, "%u.%u", 2);
        return;
    }
}

/* Sets what the table knows; everything else must be in "others", or is refused. */
static void set_fields(char *base, const struct field *fields, size_t count,
                       const struct json *object, const char *others)
{
    for (const struct json *v = object->child; v != NULL; v = v->next) {
        size_t i = 0;

        while (i < count && strcmp(fields[i].key, v->key) != 0)
            i++;
        if (i < count)
            set_field(base, &fields[i], v);
        else if (strstr(others, v->key) == NULL)
            ctl_fail("%s: unknown key", v->key);
    }
}

static void check_card(const struct fg_state *s, uint32_t i)
{
    const struct fg_card *c = &s->cards[i];

    if (c->model[0] == '\0' || strncmp(c->uuid, "GPU-", 4) != 0 || strlen(c->uuid) != 40)
        ctl_fail(
            "cards[%u]: wants a model, and a uuid like GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
            i);
    if (c->memory_bytes == 0 || c->memory_bytes % FG_GRANULARITY != 0)
        ctl_fail("cards[%u].memoryMiB: want an even number above 0", i);
    for (uint32_t j = 0; j < i; j++) {
        if (strcmp(s->cards[j].uuid, c->uuid) == 0)
            ctl_fail("cards[%u].uuid: %s is taken by cards[%u]", i, c->uuid, j);
    }
}

static void set_cards(const struct json *root, const struct ctl_overrides *o, struct fg_state *s)
{
    const struct json *defaults = json_get(root, "defaults"), *cards = json_get(root, "cards");

    if (cards == NULL || cards->kind != JSON_ARRAY || cards->child == NULL)
        ctl_fail("cards: want a list with at least one card");
    for (const struct json *v = cards->child; v != NULL; v = v->next) {
        if (o->cards != 0 && s->card_count == o->cards)
            break;
        if (s->card_count == FG_MAX_CARDS)
            ctl_fail("cards: more than %d", FG_MAX_CARDS);
        struct fg_card *c = &s->cards[s->card_count];

        c->minor_number = s->card_count;
        if (defaults != NULL)
            set_fields((char *)c, card_fields, COUNT(card_fields), defaults, "");
        set_fields((char *)c, card_fields, COUNT(card_fields), v, "");
        if (o->memory_mib != 0)
            c->memory_bytes = o->memory_mib << 20;
        check_card(s, s->card_count++);
    }
    if (o->cards > s->card_count)
        ctl_fail("--cards %u: the file describes %u", o->cards, s->card_count);
}

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1 << 20);

    if (f == NULL || text == NULL)
        ctl_fail("%s: cannot be read", path);
    size_t got = fread(text, 1, (1 << 20) - 1, f);
    if (got == (1 << 20) - 1)
        ctl_fail("%s: larger than 1 MiB", path);
    fclose(f);
    return text;
}

void ctl_config_read(const char *path, const struct ctl_overrides *o, struct fg_state *s)
{
    const char *why, *version;
    int line;
    char *text = read_all(path);
    struct json *root = json_parse(text, &why, &line);

    if (root == NULL)
        ctl_fail("%s:%d: %s", path, line, why);
    if (root->kind != JSON_OBJECT)
        ctl_fail("%s: want an object", path);
    set_fields((char *)s, node_fields, COUNT(node_fields), root, "cudaVersion defaults cards");
    const struct json *cuda = json_get(root, "cudaVersion");
    version = o->cuda_version != NULL                     ? o->cuda_version
              : cuda != NULL && cuda->kind == JSON_STRING ? cuda->text
                                                          : "";
    s->cuda_version = cuda_number(version);
    if (s->cuda_version < 11000)
        ctl_fail("cudaVersion: \"%s\" is not a version from 11.0 on", version);
    if (s->driver_version[0] == '\0')
        ctl_fail("driverVersion: is missing");
    set_cards(root, o, s);
    json_free(root);
    free(text);
}
