/* Owns the JSON picture of the node: cards with their use and faults, processes with theirs. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../state/atomics.h"
#include "../state/node.h"
#include "ctl.h"

static const char *const fault_names[] = {"none", "lost", "ecc", "event"};

static void print_card(const struct fg_node *n, uint32_t i)
{
    const struct fg_card *c = &n->state->cards[i];
    uint32_t fault = fg_load32_relaxed(&c->fault);

    printf("%s\n    {\"index\": %u, \"uuid\": \"%s\", \"model\": \"%s\", "
           "\"pciBusId\": \"%08X:%02X:%02X.0\", \"numa\": %d, \"memoryMiB\": %" PRIu64
           ", \"usedMiB\": %" PRIu64 ", \"fault\": \"%s\", \"xid\": %u}",
           i == 0 ? "" : ",", i, c->uuid, c->model, c->pci_domain, c->pci_bus, c->pci_device,
           c->numa, c->memory_bytes >> 20, fg_card_used(n, i) >> 20, fault_names[fault % 4],
           fg_load32_relaxed(&c->xid));
}

/* Names come from programs: what JSON could not hold is replaced. */
static void print_name(const char *name)
{
    for (; *name != '\0'; name++)
        putchar(*name < 0x20 || *name == '"' || *name == '\\' ? '?' : *name);
}

static void print_process(const struct fg_node *n, uint32_t slot, int pid)
{
    const struct fg_slot *p = &n->state->slots[slot];
    int first = 1;

    printf("{\"slot\": %u, \"pid\": %d, \"comm\": \"", slot, pid);
    print_name(p->comm);
    printf("\", \"cards\": [");
    for (uint32_t c = 0; c < n->state->card_count; c++) {
        uint32_t contexts = fg_load32_relaxed(&p->contexts[c]);
        uint64_t used = fg_load64_relaxed(&n->state->used[c][slot]);

        if (contexts == 0 && used == 0)
            continue;
        printf("%s{\"index\": %u, \"contexts\": %u, \"usedMiB\": %" PRIu64 "}", first ? "" : ", ",
               c, contexts, used >> 20);
        first = 0;
    }
    printf("]}");
}

void ctl_dump(void)
{
    struct fg_node n = {0};
    int err = fg_node_open(&n), first = 1;

    if (err != 0)
        ctl_fail("open %s: %s", fg_state_path(), strerror(err));
    fg_reap(&n);
    printf("{\n  \"driverVersion\": \"%s\", \"cudaVersion\": %u, \"contextMiB\": %" PRIu64
           ", \"requireDevnodes\": %s,\n  \"cards\": [",
           n.state->driver_version, n.state->cuda_version, n.state->context_bytes >> 20,
           n.state->require_nodes ? "true" : "false");
    for (uint32_t i = 0; i < n.state->card_count; i++)
        print_card(&n, i);
    printf("\n  ],\n  \"processes\": [");
    for (uint32_t i = 0; i < fg_load32_acquire(&n.state->slot_top); i++) {
        if (fg_load32_acquire(&n.state->slots[i].pid) == 0)
            continue;
        printf("%s\n    ", first ? "" : ",");
        print_process(&n, i, fg_slot_owner(&n, i));
        first = 0;
    }
    printf("\n  ]\n}\n");
}
