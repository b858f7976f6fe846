/* Every symbol of the fake libnvidia-ml: ROW(symbol, prototype's parameters). The linker's version
 * script and the prototypes are made from this list. */
#define FN_API_TABLE(ROW)                                                                          \
    ROW(nvmlInit, (void))                                                                          \
    ROW(nvmlInit_v2, (void))                                                                       \
    ROW(nvmlInitWithFlags, (unsigned flags))                                                       \
    ROW(nvmlShutdown, (void))                                                                      \
    ROW(nvmlSystemGetDriverVersion, (char *out, unsigned length))                                  \
    ROW(nvmlSystemGetNVMLVersion, (char *out, unsigned length))                                    \
    ROW(nvmlSystemGetCudaDriverVersion, (int *out))                                                \
    ROW(nvmlSystemGetCudaDriverVersion_v2, (int *out))                                             \
    ROW(nvmlDeviceGetCount, (unsigned *out))                                                       \
    ROW(nvmlDeviceGetCount_v2, (unsigned *out))                                                    \
    ROW(nvmlDeviceGetHandleByIndex, (unsigned index, nvmlDevice_t *out))                           \
    ROW(nvmlDeviceGetHandleByIndex_v2, (unsigned index, nvmlDevice_t *out))                        \
    ROW(nvmlDeviceGetHandleByUUID, (const char *uuid, nvmlDevice_t *out))                          \
    ROW(nvmlDeviceGetHandleByPciBusId, (const char *id, nvmlDevice_t *out))                        \
    ROW(nvmlDeviceGetHandleByPciBusId_v2, (const char *id, nvmlDevice_t *out))                     \
    ROW(nvmlDeviceGetName, (nvmlDevice_t d, char *out, unsigned length))                           \
    ROW(nvmlDeviceGetUUID, (nvmlDevice_t d, char *out, unsigned length))                           \
    ROW(nvmlDeviceGetIndex, (nvmlDevice_t d, unsigned *out))                                       \
    ROW(nvmlDeviceGetMinorNumber, (nvmlDevice_t d, unsigned *out))                                 \
    ROW(nvmlDeviceGetPciInfo, (nvmlDevice_t d, nvmlPciInfo_t * out))                               \
    ROW(nvmlDeviceGetPciInfo_v2, (nvmlDevice_t d, nvmlPciInfo_t * out))                            \
    ROW(nvmlDeviceGetPciInfo_v3, (nvmlDevice_t d, nvmlPciInfo_t * out))                            \
    ROW(nvmlDeviceGetMemoryInfo, (nvmlDevice_t d, nvmlMemory_t * out))                             \
    ROW(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t d, nvmlMemory_v2_t * out))                       \
    ROW(nvmlDeviceGetComputeRunningProcesses,                                                      \
        (nvmlDevice_t d, unsigned *count, nvmlProcessInfo_v1_t *out))                              \
    ROW(nvmlDeviceGetComputeRunningProcesses_v2,                                                   \
        (nvmlDevice_t d, unsigned *count, nvmlProcessInfo_t *out))                                 \
    ROW(nvmlDeviceGetComputeRunningProcesses_v3,                                                   \
        (nvmlDevice_t d, unsigned *count, nvmlProcessInfo_t *out))                                 \
    ROW(nvmlSystemGetProcessName, (unsigned pid, char *out, unsigned length))                      \
    ROW(nvmlDeviceGetMigMode, (nvmlDevice_t d, unsigned *current, unsigned *pending))              \
    ROW(nvmlDeviceGetMaxMigDeviceCount, (nvmlDevice_t d, unsigned *out))                           \
    ROW(nvmlDeviceIsMigDeviceHandle, (nvmlDevice_t d, unsigned *out))                              \
    ROW(nvmlDeviceGetNumaNodeId, (nvmlDevice_t d, unsigned *out))                                  \
    ROW(nvmlDeviceGetCpuAffinity, (nvmlDevice_t d, unsigned words, unsigned long *out))            \
    ROW(nvmlDeviceGetBrand, (nvmlDevice_t d, int *out))                                            \
    ROW(nvmlDeviceGetArchitecture, (nvmlDevice_t d, unsigned *out))                                \
    ROW(nvmlDeviceGetCudaComputeCapability, (nvmlDevice_t d, int *major, int *minor))              \
    ROW(nvmlDeviceGetPersistenceMode, (nvmlDevice_t d, int *out))                                  \
    ROW(nvmlDeviceGetComputeMode, (nvmlDevice_t d, int *out))                                      \
    ROW(nvmlDeviceGetTopologyCommonAncestor, (nvmlDevice_t a, nvmlDevice_t b, int *out))           \
    ROW(nvmlDeviceGetSupportedEventTypes, (nvmlDevice_t d, unsigned long long *out))               \
    ROW(nvmlDeviceRegisterEvents, (nvmlDevice_t d, unsigned long long types, nvmlEventSet_t set))  \
    ROW(nvmlEventSetCreate, (nvmlEventSet_t * out))                                                \
    ROW(nvmlEventSetFree, (nvmlEventSet_t set))                                                    \
    ROW(nvmlEventSetWait, (nvmlEventSet_t set, nvmlEventData_t * out, unsigned timeout_ms))        \
    ROW(nvmlEventSetWait_v2, (nvmlEventSet_t set, nvmlEventData_t * out, unsigned timeout_ms))
