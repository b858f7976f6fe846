package intree

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"volcano.sh/volcano/pkg/scheduler/framework"

	"github.com/basalt-gpu/basalt/devicesharing/wire"
	vt "github.com/basalt-gpu/basalt/plugins/volcano/volcanotest"
)

// A scenario runs in a process of its own for each plugin, because the in-tree one keeps its switches
// in globals: these variables name the plugin and the file that takes what was seen.
const (
	pluginVariable = "BASALT_INTREE_PLUGIN"
	fileVariable   = "BASALT_INTREE_FILE"
	pluginInTree   = "in-tree"
	pluginBasalt   = "basalt"
)

// scenario starts a cluster, lets things happen and says what came of them.
type scenario func(t *testing.T, start func(...runtime.Object) *vt.Cluster) string

// scenarios say what each plugin makes of the same input.
var scenarios = map[string]struct {
	run        scenario
	wantInTree string
	want       string
}{
	"a gang that was not placed keeps no cards": {
		run: discardedGang, wantInTree: "0 of 8 pods bound", want: "8 of 8 pods bound",
	},
	"a pod is not bound without its devices": {
		run: refusedPatch, wantInTree: "bound without devices", want: "bound with devices",
	},
	"a card is not sold twice before the watch tells of the first pod": {
		run: lateWatch, wantInTree: "100000 of 81920 MiB sold", want: "50000 of 81920 MiB sold",
	},
	"a slot counts once after the watch has told of its pod": {
		run: countedTwice, wantInTree: "5 of 10 pods bound", want: "10 of 10 pods bound",
	},
	// Volcano v1.14.1 does the next two right; later versions give a terminating pod's card away, and
	// score no node for spread.
	"a terminating pod keeps its card": {
		run: terminating, wantInTree: "81920 of 81920 MiB sold", want: "81920 of 81920 MiB sold",
	},
	"spread goes to the empty node": {
		run: spread, wantInTree: "node2", want: "node2",
	},
	"spread takes another card for the second pod": {
		run: spreadCards, wantInTree: "6000 of 81920 MiB sold", want: "3000 of 81920 MiB sold",
	},
	"an unhealthy card gets no pods": {
		run: unhealthy, wantInTree: "81920 of 81920 MiB sold", want: "0 of 81920 MiB sold",
	},
}

func TestFaultsOfTheInTreePluginAreNotOurs(t *testing.T) {
	if os.Getenv(pluginVariable) != "" {
		t.Skip("this process runs one scenario")
	}
	for name, tc := range scenarios {
		t.Run(name, func(t *testing.T) {
			for plugin, want := range map[string]string{pluginInTree: tc.wantInTree, pluginBasalt: tc.want} {
				got := elsewhere(t, name, plugin)
				t.Logf("%s: %s", plugin, got)
				if got != want {
					t.Errorf("%s: %s, want %s", plugin, got, want)
				}
			}
		})
	}
}

// elsewhere runs a scenario with a plugin in another process and returns what was seen.
func elsewhere(t *testing.T, name, plugin string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "seen")
	cmd := exec.Command(os.Args[0], "-test.run", "^TestScenario$/^"+strings.ReplaceAll(name, " ", "_")+"$")
	cmd.Env = append(os.Environ(), pluginVariable+"="+plugin, fileVariable+"="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", plugin, err, out)
	}
	seen, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(seen)
}

func TestScenario(t *testing.T) {
	plugin := os.Getenv(pluginVariable)
	if plugin == "" {
		t.Skip("TestFaultsOfTheInTreePluginAreNotOurs runs this")
	}
	for name, tc := range scenarios {
		t.Run(name, func(t *testing.T) {
			seen := tc.run(t, func(objects ...runtime.Object) *vt.Cluster {
				if plugin == pluginBasalt {
					return vt.New(t, objects...)
				}
				// The in-tree plugin reads nodes' cards only after it was built once.
				build, _ := framework.GetPluginBuilder("deviceshare")
				build(framework.Arguments{"deviceshare.VGPUEnable": true})
				return vt.NewStock(t, objects...)
			})
			if err := os.WriteFile(os.Getenv(fileVariable), []byte(seen), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func configuration(policy string) string {
	return vt.Configuration("allocate", "deviceshare.VGPUEnable: true, deviceshare.ScheduleWeight: 10, deviceshare.SchedulePolicy: "+policy)
}

// slice asks for a part of one card, in the names that both plugins read.
func slice(memory, cores int) vt.Asks {
	return vt.Asks{vt.ResourceVGPU: "1", "volcano.sh/vgpu-memory": fmt.Sprint(memory), "volcano.sh/vgpu-cores": fmt.Sprint(cores)}
}

// wholeMemory asks for a card's memory without naming an amount, which Volcano's arithmetic cannot count.
var wholeMemory = vt.Asks{vt.ResourceVGPU: "1"}

func node(name string, cards int) *v1.Node { return vt.MakeNode(name).VolcanoVGPU().Cards(cards).Obj() }

// bound counts the bound pods of a gang.
func bound(c *vt.Cluster, group string, of int) string {
	n := 0
	for name := range c.Placements() {
		if strings.HasPrefix(name, group) {
			n++
		}
	}
	return fmt.Sprintf("%d of %d pods bound", n, of)
}

// sold says how much of the card that was sold most the pods were given, by what the API holds.
func sold(t *testing.T, c *vt.Cluster) string {
	t.Helper()
	byCard, most := map[string]uint64{}, uint64(0)
	pods, err := c.Client.CoreV1().Pods(vt.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if pods.Items[i].Spec.NodeName == "" {
			continue
		}
		allocation, _, _, err := wire.DecodePod(&pods.Items[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range allocation.Containers["main"] {
			byCard[s.UUID] += uint64(s.Memory)
			most = max(most, byCard[s.UUID])
		}
	}
	return fmt.Sprintf("%d of %d MiB sold", most, vt.CardMemory)
}

func discardedGang(_ *testing.T, start func(...runtime.Object) *vt.Cluster) string {
	c := start(vt.Objects(node("node1", 8), vt.MakeGang("big", 9, slice(80000, 50)).Objects())...)
	c.Session(configuration("binpack"))
	c.Create(vt.MakeGang("fits", 8, slice(80000, 50)).Objects()...)
	c.Session(configuration("binpack"))
	c.Settle()
	return bound(c, "fits", 8)
}

func refusedPatch(t *testing.T, start func(...runtime.Object) *vt.Cluster) string {
	c := start(vt.Objects(node("node1", 1), vt.MakeGang("train", 1, slice(3000, 30)).Objects())...)
	c.Client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, fmt.Errorf("the API server is busy")
	})
	c.Session(configuration("binpack"))
	c.Until("the pod is bound", func() bool { return len(c.Bound()) == 1 })
	if sold(t, c) == "0 of 81920 MiB sold" {
		return "bound without devices"
	}
	return "bound with devices"
}

func lateWatch(t *testing.T, start func(...runtime.Object) *vt.Cluster) string {
	c := start(vt.Objects(node("node1", 8), vt.MakeGang("first", 1, slice(50000, 30)).Objects())...)
	c.Settle()
	c.HoldPods(func(p *v1.Pod) bool { return p.Name == "first-0" })
	c.Session(configuration("binpack"))
	c.Until("the first pod is bound", func() bool { return len(c.Bound()) == 1 })
	c.ChangeNode("node1", func(n *v1.Node) { n.Labels["rack"] = "7" })
	c.Create(vt.MakeGang("second", 1, slice(50000, 30)).Objects()...)
	c.Session(configuration("binpack"))
	c.Deliver()
	c.Settle()
	return sold(t, c)
}

func countedTwice(_ *testing.T, start func(...runtime.Object) *vt.Cluster) string {
	c := start(vt.Objects(node("node1", 1), vt.MakeGang("first", 5, slice(8000, 10)).Objects())...)
	c.Session(configuration("binpack"))
	c.Until("the first five are bound", func() bool { return len(c.Bound()) == 5 })
	c.Create(vt.MakeGang("second", 5, slice(8000, 10)).Objects()...)
	c.Session(configuration("binpack"))
	c.Settle()
	return bound(c, "", 10)
}

func terminating(t *testing.T, start func(...runtime.Object) *vt.Cluster) string {
	c := start(vt.Objects(node("node1", 1), vt.MakeGang("old", 1, wholeMemory).Objects())...)
	c.Session(configuration("binpack"))
	c.Until("the old pod is bound", func() bool { return len(c.Bound()) == 1 })
	c.Settle()
	c.Start()
	c.Delete("old-0")
	c.ChangeNode("node1", func(n *v1.Node) { n.Labels["rack"] = "7" })
	c.Create(vt.MakeGang("new", 1, wholeMemory).Objects()...)
	c.Session(configuration("binpack"))
	c.Settle()
	return sold(t, c)
}

func spread(_ *testing.T, start func(...runtime.Object) *vt.Cluster) string {
	c := start(vt.Objects(node("node1", 1), vt.MakeGang("first", 1, slice(3000, 30)).Objects())...)
	c.Session(configuration("spread"))
	c.Until("the first pod is bound", func() bool { return len(c.Bound()) == 1 })
	c.Create(node("node2", 1))
	c.Create(vt.MakeGang("second", 1, slice(3000, 30)).Objects()...)
	c.Session(configuration("spread"))
	c.Settle()
	return c.Placements()["second-0"]
}

func spreadCards(t *testing.T, start func(...runtime.Object) *vt.Cluster) string {
	c := start(vt.Objects(node("node1", 8), vt.MakeGang("train", 2, slice(3000, 30)).Objects())...)
	c.Session(configuration("spread"))
	c.Settle()
	return sold(t, c)
}

func unhealthy(t *testing.T, start func(...runtime.Object) *vt.Cluster) string {
	sick := vt.Cards("node1", 1)
	sick[0].Healthy = false
	c := start(vt.Objects(vt.MakeNode("node1").VolcanoVGPU().With(sick...).Obj(), vt.MakeGang("train", 1, slice(int(vt.CardMemory), 30)).Objects())...)
	c.Session(configuration("binpack"))
	c.Settle()
	return sold(t, c)
}
