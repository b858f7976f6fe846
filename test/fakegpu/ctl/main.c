/*
 * fakegpu-ctl: puts fake cards into a machine and breaks them on demand.
 *
 *   init --config cards.json [--state PATH] [--cards N] [--memory-mib N] [--cuda-version 12.8]
 *        [--require-devnodes]
 *   devnodes DIR [COUNT]
 *   set-bad CARD XID [lost|ecc|event]     CARD is an index or a UUID
 *   set-good CARD
 *   dump
 *
 * --require-devnodes: a process sees a card only where it can open the card's device file: in
 * $FAKEGPU_DEV, else /dev, else the dev directory of the driver's own root. All but init take the
 * state file from $FAKEGPU_STATE, else /run/fakegpu/state.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../state/atomics.h"
#include "../state/node.h"
#include "ctl.h"

#define DEFAULT_COUNT 8

void ctl_fail(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "fakegpu-ctl: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static _Noreturn void usage(void)
{
    ctl_fail("usage: init --config FILE [--state PATH] [--cards N] [--memory-mib N] "
             "[--cuda-version V] [--require-devnodes] | devnodes DIR [COUNT] | "
             "set-bad CARD XID [lost|ecc|event] | set-good CARD | dump");
}

static uint32_t number(const char *text, const char *name)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || v > UINT32_MAX)
        ctl_fail("%s: %s is not a number", name, text);
    return (uint32_t)v;
}

/* A new file under the old name: whoever has the old one open keeps the old hardware. */
static void write_state(const char *path, const struct fg_state *s)
{
    char temporary[4096];
    int fd;

    snprintf(temporary, sizeof(temporary), "%s.new", path);
    unlink(temporary);
    fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        ctl_fail("create %s: %s", temporary, strerror(errno));
    if (fchmod(fd, 0666) != 0 || posix_fallocate(fd, 0, sizeof(*s)) != 0 ||
        write(fd, s, sizeof(*s)) != (ssize_t)sizeof(*s) || rename(temporary, path) != 0)
        ctl_fail("write %s: %s", path, strerror(errno));
    close(fd);
}

static void init(char **args)
{
    const char *config = NULL, *path = fg_state_path();
    struct ctl_overrides o = {0};
    struct fg_state *s = calloc(1, sizeof(*s));

    if (s == NULL)
        ctl_fail("out of memory");
    for (; *args != NULL; args++) {
        if (strcmp(*args, "--require-devnodes") == 0) {
            o.require_nodes = 1;
            continue;
        }
        const char *name = *args, *v = *++args;
        if (v == NULL)
            usage();
        if (strcmp(name, "--config") == 0)
            config = v;
        else if (strcmp(name, "--state") == 0)
            path = v;
        else if (strcmp(name, "--cards") == 0)
            o.cards = number(v, name);
        else if (strcmp(name, "--memory-mib") == 0)
            o.memory_mib = number(v, name);
        else if (strcmp(name, "--cuda-version") == 0)
            o.cuda_version = v;
        else
            usage();
    }
    if (config == NULL)
        usage();
    ctl_config_read(config, &o, s);
    s->magic = FG_MAGIC;
    s->major = FG_MAJOR;
    s->minor = FG_MINOR;
    s->header_bytes = offsetof(struct fg_state, events);
    s->card_bytes = sizeof(struct fg_card);
    s->slot_bytes = sizeof(struct fg_slot);
    s->slot_count = FG_MAX_SLOTS;
    s->require_nodes = (uint32_t)o.require_nodes;
    write_state(path, s);
    free(s);
}

static void device_file(const char *dir, const char *name)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    /* Like /dev/null, which every container's device rules allow. */
    if (mknod(path, S_IFCHR | 0666, makedev(1, 3)) != 0 && errno != EEXIST)
        ctl_fail("make device file %s: %s", path, strerror(errno));
    if (chmod(path, 0666) != 0)
        ctl_fail("open %s to all: %s", path, strerror(errno));
}

void ctl_devnodes(const char *dir, uint32_t count)
{
    char name[32];

    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        ctl_fail("make directory %s: %s", dir, strerror(errno));
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "nvidia%u", i);
        device_file(dir, name);
    }
    device_file(dir, "nvidiactl");
    device_file(dir, "nvidia-uvm");
    device_file(dir, "nvidia-uvm-tools");
}

static struct fg_node open_node(void)
{
    struct fg_node n = {0};
    int err = fg_node_open(&n);

    if (err != 0)
        ctl_fail("open %s: %s", fg_state_path(), strerror(err));
    return n;
}

static uint32_t find_card(const struct fg_node *n, const char *name)
{
    for (uint32_t i = 0; i < n->state->card_count; i++) {
        if (strcasecmp(n->state->cards[i].uuid, name) == 0)
            return i;
    }
    uint32_t i = number(name, "card");
    if (i >= n->state->card_count)
        ctl_fail("card %u: there are %u", i, n->state->card_count);
    return i;
}

static enum fg_fault fault_named(const char *name)
{
    if (strcmp(name, "lost") == 0)
        return FG_FAULT_LOST;
    if (strcmp(name, "ecc") == 0)
        return FG_FAULT_ECC;
    if (strcmp(name, "event") == 0)
        return FG_FAULT_EVENT;
    ctl_fail("fault %s: want lost, ecc or event", name);
}

static void set_fault(const char *card_name, uint32_t xid, enum fg_fault fault)
{
    struct fg_node n = open_node();
    uint32_t card = find_card(&n, card_name);
    struct fg_card *c = &n.state->cards[card];
    int err = fg_lock(&n, FG_LOCK_ADMIN);

    if (err != 0)
        ctl_fail("lock: %s", strerror(err));
    /* Relaxed: processes see both soon; the event below is what they can wait for. */
    fg_store32_relaxed(&c->xid, xid);
    fg_store32_relaxed(&c->fault, fault);
    if (xid != 0) {
        uint32_t at = fg_load32_relaxed(&n.state->event_count);

        n.state->events[at % FG_EVENTS] = (struct fg_event){.card = card, .xid = xid};
        /* release: publishes the entry; pairs with the acquires of NVML's event sets. */
        fg_store32_release(&n.state->event_count, at + 1);
        fg_event_wake(&n);
    }
    fg_unlock(&n, FG_LOCK_ADMIN);
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (strcmp(command, "init") == 0)
        init(argv + 2);
    else if (strcmp(command, "devnodes") == 0 && (argc == 3 || argc == 4))
        ctl_devnodes(argv[2], argc == 4 ? number(argv[3], "count") : DEFAULT_COUNT);
    else if (strcmp(command, "set-bad") == 0 && (argc == 4 || argc == 5))
        set_fault(argv[2], number(argv[3], "xid"),
                  argc == 5 ? fault_named(argv[4]) : FG_FAULT_LOST);
    else if (strcmp(command, "set-good") == 0 && argc == 3)
        set_fault(argv[2], 0, FG_FAULT_NONE);
    else if (strcmp(command, "dump") == 0 && argc == 2)
        ctl_dump();
    else
        usage();
    return 0;
}
