package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basalt-gpu/basalt/devicesharing/packing"
)

// data is where the trace is expected, beside the repository, as `make bench-packing` does.
const data = "../../../../shared/data"

// openb returns a list of the trace with the given number of published runs. Without the trace, the
// test is skipped: it is not part of the repository.
func openb(t testing.TB, name string, runs int) *experiment {
	t.Helper()
	folder := data
	if at := os.Getenv("BASALT_DATA"); at != "" {
		folder = at
	}
	if _, err := os.Stat(filepath.Join(folder, "openb-gpu-v2023")); err != nil {
		t.Skipf("the openb trace is not there (BASALT_DATA names the folder that holds openb-gpu-v2023): %v", err)
	}
	e, err := load(list(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	e.arrivals = e.arrivals[:runs]
	return e
}

func TestPublishedPoliciesComeOutAsPublished(t *testing.T) {
	e := openb(t, "default", 2)
	want := map[string][]float64{nameFGD: {95.14, 95.06}, nameBestFit: {92.94, 92.97}}
	got := map[string][]float64{}
	for policy := range want {
		for i := range e.arrivals {
			c, err := e.replay(policy, &e.arrivals[i], full)
			if err != nil {
				t.Fatal(err)
			}
			allocated, _ := c.at(full)
			got[policy] = append(got[policy], allocated)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("allocated, percent, seeds 42 and 43 (-want,+got):\n%s", diff)
	}
}

func TestOurPolicyPacksBetterThanPublishedOnes(t *testing.T) {
	tests := map[string]struct {
		limit float64 // unallocated, percent
	}{
		"default":    {limit: 4.5},
		"gpushare60": {limit: 8.5},
		"gpuspec25":  {limit: 6.09},
		"multigpu40": {limit: 3.09},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			mean, _, err := openb(t, name, 1).mean(string(packing.Fragmentation))
			if err != nil {
				t.Fatal(err)
			}
			if got := full - mean; got >= tc.limit {
				t.Errorf("%.2f %% unallocated, must be below %.2f", got, tc.limit)
			}
		})
	}
}

func TestDrawnArrivalsEqualThePublishedOnes(t *testing.T) {
	for _, name := range []string{"default", "gpushare60"} {
		e := openb(t, name, 3)
		for _, want := range e.arrivals {
			got := generate(want.seed, e.nodes, e.pods)
			if !slices.Equal(got.pods, want.pods) || !slices.Equal(got.rank, want.rank) {
				t.Errorf("list %s, seed %d: what is drawn differs from the file", name, want.seed)
			}
		}
	}
}

// files writes the inputs of a tiny replay and returns their paths by name.
func files(t *testing.T, change map[string]string) map[string]string {
	t.Helper()
	content := map[string]string{
		"nodes":    "sn,cpu_milli,memory_mib,gpu,model\nn1,8000,1000,1,T4\nn2,8000,1000,1,P100\n",
		"pods":     "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\np1,1000,10,1,500,\np2,1000,10,1,1000,P100\np3,1000,10,0,0,\n",
		"arrivals": "seed,position,pod\n7,0,p1\n7,1,p2\n7,2,p3\n7,3,p1\n",
		"ranks":    "seed,node,rank\n7,n1,0\n7,n2,1\n",
	}
	paths := map[string]string{}
	for name, text := range content {
		if other, changed := change[name]; changed {
			text = other
		}
		paths[name] = filepath.Join(t.TempDir(), name+".csv")
		if err := os.WriteFile(paths[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func TestReplayCountsWhatArrivesAndWhatIsPlaced(t *testing.T) {
	f := files(t, nil)
	e, err := load(f["nodes"], f["pods"], f["arrivals"], f["ranks"])
	if err != nil {
		t.Fatal(err)
	}
	// All pods fit: a quarter, three quarters twice (the pod without a card adds nothing), all.
	for _, policy := range policies {
		c, err := e.replay(policy, &e.arrivals[0], 1000)
		if err != nil {
			t.Fatal(err)
		}
		got := map[int]float64{}
		for x := range c.sums {
			if allocated, ok := c.at(x); ok {
				got[x] = allocated
			}
		}
		want := map[int]float64{25: 25, 75: 75, 100: 100}
		if policy == string(packing.Spread) {
			got[100] = 100 // where the second half goes is not of interest here
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("policy %s: allocated by arrived (-want,+got):\n%s", policy, diff)
		}
	}
}

func TestBadInputIsNamed(t *testing.T) {
	tests := map[string]struct {
		change map[string]string
		want   string
	}{
		"a list without a column":   {map[string]string{"nodes": "sn,gpu\nn1,1\n"}, `-nodes: read %s: no column "cpu_milli"`},
		"a list without rows":       {map[string]string{"pods": "name\n"}, "-pods: read %s: no rows"},
		"a number that is none":     {map[string]string{"nodes": "sn,cpu_milli,memory_mib,gpu,model\nn1,x,1,1,T4\n"}, `-nodes: read %s: row 2: cpu_milli "x" must be a whole number, not negative`},
		"a pod that is not listed":  {map[string]string{"arrivals": "seed,position,pod\n7,0,p9\n"}, `read %s: row 2: pod "p9" is not in the pod list`},
		"a gap in the arrivals":     {map[string]string{"arrivals": "seed,position,pod\n7,1,p1\n"}, "read %s: row 2: position 1 must be 0"},
		"a node that is not listed": {map[string]string{"ranks": "seed,node,rank\n7,n9,0\n"}, `read %s: row 2: node "n9" is not in the node list`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := files(t, tc.change)
			path := ""
			for changed := range tc.change {
				path = f[changed]
			}
			_, err := load(f["nodes"], f["pods"], f["arrivals"], f["ranks"])
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf(tc.want, path)) {
				t.Errorf("got error %v, want %s", err, fmt.Sprintf(tc.want, path))
			}
		})
	}
}

func TestAnUnknownPolicyIsNamed(t *testing.T) {
	if _, err := newPool("fancy", nil); err == nil || !strings.Contains(err.Error(), `-policy: "fancy" must be one of`) {
		t.Errorf("got error %v", err)
	}
}

// BenchmarkDecision reports the least time that a decision took, in the mean of a run: what others on
// the machine do only adds to it.
func BenchmarkDecision(b *testing.B) {
	e := openb(b, "default", 1)
	least := 0.0
	for b.Loop() {
		_, decision, err := e.mean(string(packing.Fragmentation))
		if err != nil {
			b.Fatal(err)
		}
		if ns := float64(decision.Nanoseconds()); least == 0 || ns < least {
			least = ns
		}
	}
	b.ReportMetric(least, "ns/decision")
}
