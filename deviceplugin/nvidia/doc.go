// Package nvidia is the NVIDIA backend of the node agent: it enumerates cards through NVML, watches
// their health, and says what a container needs to use some of them: driver libraries, device nodes
// and environment. It knows no pods, no limits and no tokens.
//
// All calls into NVML go through go-nvml with the library of the driver root. Functions that not
// every driver has are looked up before the call, because go-nvml binds lazily and a missing symbol
// ends the process.
package nvidia
