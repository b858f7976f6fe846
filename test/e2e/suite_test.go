package e2e

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	volcano "volcano.sh/apis/pkg/client/clientset/versioned"

	"github.com/basalt-gpu/basalt/test/cluster"
)

// Labels by which specs are picked.
const (
	labelGang     = "gang"
	labelSlices   = "slices"
	labelChurn    = "churn"
	labelRestart  = "restart"
	labelBind     = "bind"
	labelLifetime = "lifetime"
	labelSecurity = "security"
	labelInput    = "input"
	labelHealth   = "health"
)

// The running cluster, shared by all specs; set once before the first.
var (
	node   *cluster.Cluster
	config *rest.Config
	kube   kubernetes.Interface
	vc     volcano.Interface
	audit  *auditor
)

func TestE2E(t *testing.T) {
	if os.Getenv("BASALT_E2E") != "1" {
		t.Skip("the end-to-end suite changes a running cluster: set BASALT_E2E=1, or use `make test-e2e`, which starts one")
	}
	RegisterFailHandler(Fail)
	RunSpecs(t, "Basalt on a real cluster")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	node, err = cluster.Open()
	Expect(err).NotTo(HaveOccurred())
	config, err = node.RESTConfig()
	Expect(err).NotTo(HaveOccurred())
	config.QPS, config.Burst = 500, 1000
	kube, err = kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	vc, err = volcano.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())

	waitComponents(ctx)
	waitPolicies(ctx)
	audit, err = startAuditor(kube)
	Expect(err).NotTo(HaveOccurred())
	Eventually(ctx, ledgerPods).WithTimeout(goneTimeout).Should(BeEmpty(), "the cluster is used by something else")
})

var _ = AfterSuite(func() {
	if audit != nil {
		audit.stop()
	}
	if node != nil {
		node.Close()
	}
})

// What no spec may leave behind, whatever it was about. Diagnostics come first: the namespace is
// removed after this.
var _ = JustAfterEach(func(ctx SpecContext) {
	if CurrentSpecReport().Failed() {
		reportState(ctx)
	}
})
