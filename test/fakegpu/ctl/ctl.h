/* What the parts of fakegpu-ctl share. */
#ifndef CTL_H
#define CTL_H

#include "../state/layout.h"

/* What init takes besides the file; 0 or NULL: as the file says. */
struct ctl_overrides {
    uint32_t cards;
    uint64_t memory_mib;
    const char *cuda_version;
    int require_nodes;
};

/* Prints "fakegpu-ctl: " and the message, and ends the program with status 1. */
_Noreturn void ctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fills a zeroed state from the configuration file. */
void ctl_config_read(const char *path, const struct ctl_overrides *o, struct fg_state *s);
void ctl_dump(void);
/* Makes the device files of count cards below dir. */
void ctl_devnodes(const char *dir, uint32_t count);

#endif
