/* How a look-up is answered: the trampolines in hc_trampoline.S jump or return accordingly. */
#ifndef HC_ENTRY_H
#define HC_ENTRY_H

/* Returned in two registers. jump: continue there with the caller's arguments and return address,
 * so that the answer is for the caller; NULL: return result. */
struct hc_route {
    void *jump;
    void *result;
};

struct hc_route hc_route_dlsym(void *handle, const char *name);
struct hc_route hc_route_dlvsym(void *handle, const char *name, const char *version);

#endif
