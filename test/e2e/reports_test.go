package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	v1 "k8s.io/api/core/v1"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
	"github.com/basalt-gpu/basalt/hamicore"
)

// step is one line of cudaprobe.
type step struct {
	Step    string       `json:"step"`
	MiB     uint64       `json:"mib"`
	Result  string       `json:"result"`
	Error   string       `json:"error"`
	Devices []seenDevice `json:"devices"`
}

// seenDevice is a card as a container sees it, through CUDA twice and through NVML.
type seenDevice struct {
	Ordinal      int    `json:"ordinal"`
	UUID         string `json:"uuid"`
	TotalMiB     uint64 `json:"totalMiB"`
	InfoTotalMiB uint64 `json:"infoTotalMiB"`
	InfoFreeMiB  uint64 `json:"infoFreeMiB"`
	NVMLTotalMiB uint64 `json:"nvmlTotalMiB"`
	NVMLUsedMiB  uint64 `json:"nvmlUsedMiB"`
	NVMLError    string `json:"nvmlError"`
}

// view is what a container wrote down at one start.
type view struct {
	limits string // the limits page, as mounted
	steps  []step
}

func (v view) step(name string) (step, bool) {
	for _, s := range v.steps {
		if s.Step == name {
			return s, true
		}
	}
	return step{}, false
}

// results are the driver's answers to allocations of one kind, in order, as "MiB RESULT".
func (v view) results(name string) []string {
	var out []string
	for _, s := range v.steps {
		if s.Step == name && s.Result != "" {
			out = append(out, fmt.Sprintf("%d %s", s.MiB, s.Result))
		}
	}
	return out
}

func parseView(text string) view {
	var v view
	for _, line := range strings.Split(text, "\n") {
		if page, ok := strings.CutPrefix(line, "limits="); ok {
			v.limits = page
			continue
		}
		var s step
		if json.Unmarshal([]byte(line), &s) == nil && s.Step != "" {
			v.steps = append(v.steps, s)
		}
	}
	return v
}

// logs returns what a container's present instance printed.
func logs(ctx context.Context, pod *v1.Pod, container string) (string, error) {
	raw, err := kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &v1.PodLogOptions{Container: container}).DoRaw(ctx)
	return string(raw), err
}

// waitView waits until a container's report holds a step, and returns the report.
func waitView(ctx context.Context, pod *v1.Pod, container, last string) view {
	GinkgoHelper()
	var v view
	Eventually(ctx, func(g Gomega) {
		text, err := logs(ctx, pod, container)
		g.Expect(err).NotTo(HaveOccurred())
		v = parseView(text)
		_, ok := v.step(last)
		g.Expect(ok).To(BeTrue(), "container %s/%s has not printed step %q yet:\n%s", pod.Name, container, last, text)
	}).WithTimeout(soon).WithPolling(interval).Should(Succeed())
	return v
}

// allocationOf is the pod's allocation as the scheduler wrote it.
func allocationOf(pod *v1.Pod) wire.Allocation {
	GinkgoHelper()
	raw := pod.Annotations[allocationKey]
	Expect(raw).NotTo(BeEmpty(), "pod %s has no annotation %s", pod.Name, allocationKey)
	a, err := wire.DecodeAllocation(raw)
	Expect(err).NotTo(HaveOccurred())
	Expect(a.Node).To(Equal(pod.Spec.NodeName))
	return a
}

// expectAsked checks that the annotation gives a container what its user wrote: that many distinct
// cards, and of each the memory and the compute.
func expectAsked(pod *v1.Pod, container string, want slice) []wire.Slice {
	GinkgoHelper()
	got := allocationOf(pod).Containers[container]
	Expect(got).To(HaveLen(want.cards), "cards of %s/%s", pod.Name, container)
	uuids := map[string]bool{}
	for _, s := range got {
		uuids[s.UUID] = true
		Expect(s.Memory).To(Equal(device.MiB(want.memory)), "memory of %s/%s", pod.Name, container)
		Expect(s.Cores).To(Equal(device.CorePercent(want.cores)), "cores of %s/%s", pod.Name, container)
	}
	Expect(uuids).To(HaveLen(want.cards), "two slices of %s/%s are on one card", pod.Name, container)
	return got
}

// expectSlice checks that a container got exactly what it asked, by four witnesses: the annotation,
// the limits page as the plugin wrote it on the node, the page as the container sees it, and CUDA
// and NVML inside.
func expectSlice(ctx context.Context, pod *v1.Pod, container string, want slice) {
	GinkgoHelper()
	slices := expectAsked(pod, container, want)
	v := waitView(ctx, pod, container, "info")

	host, err := os.ReadFile(filepath.Join(node.AgentRunDir(), "pods", string(pod.UID), container, hamicore.LimitsName))
	Expect(err).NotTo(HaveOccurred())
	inside, err := base64.StdEncoding.DecodeString(v.limits)
	Expect(err).NotTo(HaveOccurred())
	Expect(pageOf(host)).To(Equal(wantPage(pod, container, slices)), "limits of %s/%s on the node", pod.Name, container)
	Expect(pageOf(inside)).To(Equal(wantPage(pod, container, slices)), "limits inside %s/%s", pod.Name, container)
	expectSeen(v, pod.Name+"/"+container, slices)
}

// expectSeen checks what CUDA and NVML show inside a container.
func expectSeen(v view, name string, slices []wire.Slice) {
	GinkgoHelper()
	info, _ := v.step("info")
	var got, want []string
	for _, d := range info.Devices {
		got = append(got, fmt.Sprintf("%s total=%d info=%d nvml=%d%s", d.UUID, d.TotalMiB, d.InfoTotalMiB, d.NVMLTotalMiB, d.NVMLError))
	}
	for _, s := range slices {
		want = append(want, fmt.Sprintf("%s total=%d info=%d nvml=%d", s.UUID, s.Memory, s.Memory, s.Memory))
	}
	sort.Strings(got)
	sort.Strings(want)
	Expect(got).To(Equal(want), "cards inside %s", name)
}

// page is the part of a limits page that the allocation decides.
type page struct {
	PodUID, Container string
	Devices           []string
}

func pageOf(raw []byte) page {
	GinkgoHelper()
	l, err := hamicore.DecodeAgentPage(raw)
	Expect(err).NotTo(HaveOccurred())
	p := page{PodUID: l.PodUID, Container: l.Container}
	for _, d := range l.Devices {
		p.Devices = append(p.Devices, fmt.Sprintf("%s %d bytes %d cores", d.UUID, d.LimitBytes, d.CorePercent))
	}
	sort.Strings(p.Devices)
	return p
}

func wantPage(pod *v1.Pod, container string, slices []wire.Slice) page {
	p := page{PodUID: string(pod.UID), Container: container}
	for _, s := range slices {
		p.Devices = append(p.Devices, fmt.Sprintf("%s %d bytes %d cores", s.UUID, s.Memory.Bytes(), s.Cores))
	}
	sort.Strings(p.Devices)
	return p
}
