// Package deviceplugin groups the node agent: it finds the cards of a node, registers them, speaks
// the kubelet's device plugin API and hands each container exactly the slice that the scheduler
// allocated to it.
//
// The parts, in dependency order:
//
//   - durable: files that appear whole or not at all.
//   - cdi: one CDI spec file per container, under a name that is new on every Allocate.
//   - library: content-addressed copies of the limiter and its preload file.
//   - slicefiles: limits page and tenant region of each container, on tmpfs.
//   - record: the frozen allocation of each pod, root-owned, and the sum of what is handed out.
//   - kubelet: device plugin endpoints, the kubelet's device checkpoint, pod-resources.
//   - token: what is advertised to the kubelet. Tokens are not cards.
//   - pods, node: what the agent reads from and writes to the API server.
//   - nvidia: the NVIDIA backend. No rule about a vendor's cards lives outside a backend.
//   - agent: the order of things: PreStartContainer, health, cleanup.
//
// None of them knows a scheduling policy: who gets which card is decided before the agent sees the
// pod. The agent only checks, pins and applies.
package deviceplugin
