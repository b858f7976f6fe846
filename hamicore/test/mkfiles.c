/* Writes the two files of a container for tests: mkfiles DIR [UUID LIMIT_MIB CONTEXT_MIB]... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hc_abi.h"
#include "hc_region.h"

static int write_file(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[512];
    FILE *f;
    int ok;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "wb");
    if (f == NULL)
        return 0;
    ok = fwrite(bytes, 1, size, f) == size;
    return fclose(f) == 0 && ok;
}

int main(int argc, char **argv)
{
    static struct hc_agent_page page;
    static struct hc_region region;

    if (argc < 2 || (argc - 2) % 3 != 0 || (argc - 2) / 3 > (int)HC_MAX_CARDS)
        return 2;
    page.magic = HC_AGENT_MAGIC;
    page.major = HC_ABI_MAJOR;
    page.minor = HC_ABI_MINOR;
    page.header_size = offsetof(struct hc_agent_page, devices);
    page.device_size = sizeof(struct hc_agent_device);
    page.device_count = (uint32_t)(argc - 2) / 3;
    page.total_size = HC_AGENT_PAGE_SIZE;
    page.sequence = 2;
    for (uint32_t i = 0; i < page.device_count; i++) {
        struct hc_agent_device *d = &page.devices[i];

        snprintf(d->uuid, sizeof(d->uuid), "%s", argv[2 + i * 3]);
        d->limit_bytes = strtoull(argv[3 + i * 3], NULL, 10) << 20;
        d->context_bytes = strtoull(argv[4 + i * 3], NULL, 10) << 20;
    }
    hc_region_format(&region);
    return write_file(argv[1], "limits", &page, sizeof(page)) &&
                   write_file(argv[1], "region", &region, sizeof(region))
               ? 0
               : 1;
}
