package request_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

func app(name string, count int, memory device.MiB, percent int, cores device.CorePercent) request.Container {
	return request.Container{Name: name, Kind: request.App, Count: count, Memory: memory, Percent: percent,
		Cores: cores, Priority: request.PriorityUnset}
}

func TestParse(t *testing.T) {
	mainOnly := func(c request.Container) *request.Pod { return &request.Pod{Containers: []request.Container{c}} }
	tests := map[string]struct {
		pod     *sharingtest.PodBuilder
		options func(*request.Options)
		want    *request.Pod
	}{
		"a pod without device resources asks for nothing": {
			pod: sharingtest.MakePod("p").Container("main").Limit("cpu", "1"),
		},
		"a count of zero asks for nothing": {
			pod: sharingtest.MakePod("p").Container("main").Limit("nvidia.com/gpu", "0"),
		},
		"a count alone asks for the whole memory of each card": {
			pod:  sharingtest.MakePod("p").Container("main").Limit("nvidia.com/gpu", "2"),
			want: mainOnly(app("main", 2, 0, 100, 0)),
		},
		"HAMi's names": {
			pod:  sharingtest.MakePod("p").Container("main").Share("1", "3000", "30").Limit("nvidia.com/priority", "0"),
			want: mainOnly(request.Container{Name: "main", Count: 1, Memory: 3000, Cores: 30, Priority: 0}),
		},
		"Volcano's names": {
			pod: sharingtest.MakePod("p").Container("main").Limit("volcano.sh/vgpu-number", "1").
				Limit("volcano.sh/vgpu-memory", "3000").Limit("volcano.sh/vgpu-cores", "30"),
			want: mainOnly(app("main", 1, 3000, 0, 30)),
		},
		"Volcano's percentage": {
			pod: sharingtest.MakePod("p").Container("main").Limit("volcano.sh/vgpu-number", "1").
				Limit("volcano.sh/vgpu-memory-percentage", "25"),
			want: mainOnly(app("main", 1, 0, 25, 0)),
		},
		"memory of zero is no statement, beside a percentage too": {
			pod: sharingtest.MakePod("p").Container("main").Limit("nvidia.com/gpu", "1").
				Limit("nvidia.com/gpumem", "0").Limit("nvidia.com/gpumem-percentage", "50"),
			want: mainOnly(app("main", 1, 0, 50, 0)),
		},
		"quantities with a suffix that are integers": {
			pod:  sharingtest.MakePod("p").Container("main").Share("1", "3k", "30"),
			want: mainOnly(app("main", 1, 3000, 0, 30)),
		},
		"quantities with a binary suffix": {
			pod:  sharingtest.MakePod("p").Container("main").Share("1", "1.5Ki", "30"),
			want: mainOnly(app("main", 1, 1536, 0, 30)),
		},
		"requests count where there is no limit": {
			pod: sharingtest.MakePod("p").Container("main").Limit("nvidia.com/gpu", "1").
				Request("nvidia.com/gpu", "2").Request("nvidia.com/gpumem", "100"),
			want: mainOnly(app("main", 1, 100, 0, 0)),
		},
		"defaults and the memory unit": {
			pod: sharingtest.MakePod("p").Container("a").Limit("nvidia.com/gpu", "1").
				Container("b").Limit("nvidia.com/gpu", "1").Limit("nvidia.com/gpumem", "3"),
			options: func(o *request.Options) { o.DefaultMemory, o.DefaultCores, o.MemoryFactor = 512, 20, 1024 },
			want:    &request.Pod{Containers: []request.Container{app("a", 1, 512, 0, 20), app("b", 1, 3072, 0, 20)}},
		},
		"cores of zero are a statement": {
			pod:     sharingtest.MakePod("p").Container("main").Share("1", "100", "0"),
			options: func(o *request.Options) { o.DefaultCores = 20 },
			want:    mainOnly(app("main", 1, 100, 0, 0)),
		},
		"init containers first, sidecars told apart, others left out": {
			pod: sharingtest.MakePod("p").
				Container("app").Share("1", "300", "3").Container("log").
				Init("fetch").Share("1", "100", "1").Init("wait").Sidecar("proxy").Share("1", "200", "2"),
			want: &request.Pod{Containers: []request.Container{
				{Name: "fetch", Kind: request.Init, Count: 1, Memory: 100, Cores: 1, Priority: -1},
				{Name: "proxy", Kind: request.Sidecar, Count: 1, Memory: 200, Cores: 2, Priority: -1},
				{Name: "app", Kind: request.App, Count: 1, Memory: 300, Cores: 3, Priority: -1},
			}},
		},
		"each container in its own dialect": {
			pod: sharingtest.MakePod("p").Container("a").Share("1", "100", "1").
				Container("b").Limit("volcano.sh/vgpu-number", "1").Limit("volcano.sh/vgpu-memory", "100"),
			want: &request.Pod{Containers: []request.Container{app("a", 1, 100, 0, 1), app("b", 1, 100, 0, 0)}},
		},
		"renamed resources": {
			pod: sharingtest.MakePod("p").Container("main").Limit("example.com/gpu", "1").Limit("example.com/mem", "7"),
			options: func(o *request.Options) {
				o.Names = []request.Names{{Count: "example.com/gpu", Memory: "example.com/mem"}}
			},
			want: mainOnly(app("main", 1, 7, 0, 0)),
		},
		"selectors of both dialects": {
			pod: sharingtest.MakePod("p").Container("main").Share("1", "100", "1").
				Annotation(request.VolcanoUseUUIDKey, " GPU-a, GPU-b ,").
				Annotation(request.NoUseUUIDKey, "GPU-c").Annotation(request.VolcanoNoUseUUIDKey, "GPU-d").
				Annotation(request.UseTypeKey, "a100,h100").Annotation(request.NoUseTypeKey, "").
				Annotation(request.ModeKey, "hami-core,mps").Annotation(request.CardPolicyKey, "numa,binpack").
				Annotation(request.GroupPolicyKey, "spread"),
			want: &request.Pod{
				Containers: []request.Container{app("main", 1, 100, 0, 1)},
				Selector: request.Selector{
					UseUUIDs: []string{"GPU-a", "GPU-b"}, NoUseUUIDs: []string{"GPU-c", "GPU-d"},
					UseTypes: []string{"a100", "h100"}, Mode: "hami-core,mps",
				},
				Policy: request.Policy{Card: score.Chain(score.NUMA, score.Binpack), Apart: true},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := request.Defaults()
			if tc.options != nil {
				tc.options(&o)
			}
			got, errs := request.Parse(tc.pod.Obj(), o)
			if len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("request (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const gpu, gpumem = "nvidia.com/gpu", "nvidia.com/gpumem"
	one := func() *sharingtest.PodBuilder { return sharingtest.MakePod("p").Container("main").Limit(gpu, "1") }
	limits := func(name string) string { return "spec.containers[0].resources.limits[" + name + "]" }
	tests := map[string]struct {
		pod  *sharingtest.PodBuilder
		want []string // field: type of the error, in order
	}{
		"memory without count": {
			pod:  sharingtest.MakePod("p").Container("main").Limit(gpumem, "3000"),
			want: []string{limits(gpu) + ": Required value: a container that asks for nvidia.com/gpumem 3000 must say how many devices"},
		},
		"an explicit count of zero with memory": {
			pod:  sharingtest.MakePod("p").Container("main").Share("0", "3000", "0"),
			want: []string{limits(gpu) + ": Invalid value: 0: must be at least 1 when device memory or cores are asked"},
		},
		"a count without an integer value": {
			pod:  sharingtest.MakePod("p").Container("main").Limit(gpu, "1500m"),
			want: []string{limits(gpu) + `: Invalid value: "1500m": must be an integer`},
		},
		"a fraction of memory": {
			pod:  one().Limit(gpumem, "1.5"),
			want: []string{limits(gpumem) + `: Invalid value: "1500m": must be an integer`},
		},
		"negative memory": {
			pod:  one().Limit(gpumem, "-1"),
			want: []string{limits(gpumem) + `: Invalid value: "-1": must be between 0 and 2147483647`},
		},
		"memory that overflows": {
			pod:  one().Limit(gpumem, "1e30"),
			want: []string{limits(gpumem) + `: Invalid value: "1e30": must be an integer`},
		},
		"a percentage of zero": {
			pod:  one().Limit("nvidia.com/gpumem-percentage", "0"),
			want: []string{limits("nvidia.com/gpumem-percentage") + `: Invalid value: "0": must be between 1 and 100`},
		},
		"a percentage above a hundred": {
			pod:  one().Limit("nvidia.com/gpumem-percentage", "101"),
			want: []string{limits("nvidia.com/gpumem-percentage") + `: Invalid value: "101": must be between 1 and 100`},
		},
		"cores above a hundred": {
			pod:  one().Limit("nvidia.com/gpucores", "101"),
			want: []string{limits("nvidia.com/gpucores") + `: Invalid value: "101": must be between 0 and 100`},
		},
		"memory and percentage": {
			pod: one().Limit(gpumem, "100").Limit("nvidia.com/gpumem-percentage", "10"),
			want: []string{limits("nvidia.com/gpumem-percentage") +
				": Forbidden: must not be set together with nvidia.com/gpumem: one of them decides"},
		},
		"two dialects in one container": {
			pod: one().Limit("volcano.sh/vgpu-memory", "100"),
			want: []string{
				limits("volcano.sh/vgpu-number") + ": Required value: a container that asks for volcano.sh/vgpu-memory 100 must say how many devices",
				"spec.containers[0].resources: Forbidden: asks for devices under two sets of names (nvidia.com/gpu and volcano.sh/vgpu-number): use one",
			},
		},
		"a bad value in requests is found there": {
			pod:  sharingtest.MakePod("p").Init("fetch").Request(gpu, "-1").Container("main"),
			want: []string{`spec.initContainers[0].resources.requests[nvidia.com/gpu]: Invalid value: "-1": must be between 0 and 65535`},
		},
		"everything at once": {
			pod: one().Limit(gpumem, "-1").Limit("nvidia.com/gpucores", "101").
				Container("other").Limit("volcano.sh/vgpu-cores", "10").Annotation(request.ModeKey, "time-slice"),
			want: []string{
				limits(gpumem) + `: Invalid value: "-1": must be between 0 and 2147483647`,
				limits("nvidia.com/gpucores") + `: Invalid value: "101": must be between 0 and 100`,
				"spec.containers[1].resources.limits[volcano.sh/vgpu-number]: Required value: a container that asks for volcano.sh/vgpu-cores 10 must say how many devices",
				`metadata.annotations[nvidia.com/vgpu-mode]: Unsupported value: "time-slice": supported values: "hami-core", "mig", "mps", "exclusive"`,
			},
		},
		"wanted cards that differ between the dialects": {
			pod:  one().Annotation(request.UseUUIDKey, "a").Annotation(request.VolcanoUseUUIDKey, "b"),
			want: []string{`metadata.annotations[volcano.sh/vgpu-use-gpuuuid]: Invalid value: "b": must equal nvidia.com/use-gpuuuid where both are set`},
		},
		"policies that nobody published": {
			pod: one().Annotation(request.CardPolicyKey, "binpack,least-used").Annotation(request.NodePolicyKey, "mutex").
				Annotation(request.WeightsKey, "slot=1,core=1"),
			want: []string{
				`metadata.annotations[hami.io/node-scheduler-policy]: Invalid value: "mutex": unknown policy "mutex": must be of binpack, spread`,
				`metadata.annotations[hami.io/gpu-scheduler-policy]: Invalid value: "binpack,least-used": unknown policy "least-used": must be of binpack, spread, mutex, numa, topology-aware`,
				`metadata.annotations[hami.io/device-scoring-weights]: Invalid value: "slot=1,core=1": must be slot=N,core=N,memory=N: all three are needed`,
			},
		},
		"a group policy that nobody published": {
			pod:  one().Annotation(request.GroupPolicyKey, "binpack"),
			want: []string{`metadata.annotations[volcano.sh/vgpu-podgroup-policy]: Invalid value: "binpack": must be spread`},
		},
		"a binding that is neither on nor off": {
			pod:  one().Annotation(request.NUMABindKey, "strict"),
			want: []string{`metadata.annotations[nvidia.com/numa-bind]: Unsupported value: "strict": supported values: "true", "false"`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pod := tc.pod.Obj()
			r, errs := request.Parse(pod, request.Defaults())
			if r != nil {
				t.Error("a refused pod has a request")
			}
			if !request.Asks(pod, request.Defaults()) {
				t.Error("a refused pod does not ask")
			}
			var got []string
			for _, err := range errs {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("errors (-want,+got):\n%s", diff)
			}
		})
	}
}

func TestDefaultsAreValid(t *testing.T) {
	o := request.Defaults()
	if err := o.Validate().ToAggregate(); err != nil {
		t.Error(err)
	}
	wantCounts := []v1.ResourceName{"nvidia.com/gpu", "volcano.sh/vgpu-number"}
	if diff := cmp.Diff(wantCounts, o.CountNames()); diff != "" {
		t.Errorf("count names (-want,+got):\n%s", diff)
	}
	wantIgnored := []string{
		"nvidia.com/gpumem", "nvidia.com/gpumem-percentage", "nvidia.com/gpucores", "nvidia.com/priority",
		"volcano.sh/vgpu-memory", "volcano.sh/vgpu-memory-percentage", "volcano.sh/vgpu-cores",
	}
	if diff := cmp.Diff(wantIgnored, o.IgnoredNames()); diff != "" {
		t.Errorf("ignored names (-want,+got):\n%s", diff)
	}
}

func TestValidateRefusesOptions(t *testing.T) {
	tests := map[string]struct {
		change func(*request.Options)
		want   []string
	}{
		"no names": {
			change: func(o *request.Options) { o.Names = nil },
			want:   []string{"names"},
		},
		"a dialect without count": {
			change: func(o *request.Options) { o.Names[0].Count = "" },
			want:   []string{"names[0].count"},
		},
		"a name twice, and one that is no resource name": {
			change: func(o *request.Options) { o.Names[0].Cores, o.Names[1].Memory = "nvidia.com/gpu", "a b" },
			want:   []string{"names[0].cores", "names[0].cores", "names[1].memory"},
		},
		"an ignored name that is part of a counted one": {
			change: func(o *request.Options) { o.Names[0].Memory = "nvidia.com/g" },
			want:   []string{"names[0].memory"},
		},
		"numbers out of range": {
			change: func(o *request.Options) { o.MemoryFactor, o.DefaultMemory, o.DefaultCores = 0, 1<<40, 101 },
			want:   []string{"memoryFactor", "defaultMemory", "defaultCores"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := request.Defaults()
			tc.change(&o)
			var got []string
			for _, err := range o.Validate() {
				got = append(got, err.Field)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("fields (-want,+got):\n%s", diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1", "3000", "30", "", "a,b", "spread")
	f.Add("1", "3k", "1500m", "100", ",", "")
	f.Add("-1", "1e30", "101", "0", "mig", "mutex")
	f.Fuzz(func(t *testing.T, count, memory, cores, percent, list, policy string) {
		pod := sharingtest.MakePod("p").Container("main").Annotation(request.UseUUIDKey, list).
			Annotation(request.ModeKey, list).Annotation(request.CardPolicyKey, policy).Obj()
		limits := v1.ResourceList{}
		for name, s := range map[v1.ResourceName]string{
			"nvidia.com/gpu": count, "nvidia.com/gpumem": memory, "nvidia.com/gpucores": cores, "nvidia.com/gpumem-percentage": percent,
		} {
			if q, ok := parseQuantity(s); ok {
				limits[name] = q
			}
		}
		pod.Spec.Containers[0].Resources.Limits = limits
		r, errs := request.Parse(pod, request.Defaults())
		if r == nil {
			return
		}
		if len(errs) > 0 {
			t.Fatal("both a request and errors")
		}
		c := r.Containers[0]
		if c.Count < 1 || c.Memory > request.MaxMemory || c.Cores > 100 || c.Percent < 0 || c.Percent > 100 || (c.Memory == 0) == (c.Percent == 0) {
			t.Errorf("impossible request %+v", c)
		}
	})
}

func parseQuantity(s string) (resource.Quantity, bool) {
	if len(s) > 64 {
		return resource.Quantity{}, false
	}
	q, err := resource.ParseQuantity(s)
	return q, err == nil
}
