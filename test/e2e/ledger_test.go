package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/test/cluster"
)

// readLedger asks the running scheduler what it believes.
func readLedger(ctx context.Context) (ledger.Snapshot, error) {
	var out ledger.Snapshot
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, node.LedgerURL(), nil)
	if err != nil {
		return out, err
	}
	response, err := node.HTTPClient().Do(request)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return out, err
	}
	if response.StatusCode != http.StatusOK {
		return out, fmt.Errorf("read ledger: %s: %s", response.Status, body)
	}
	return out, json.Unmarshal(body, &out)
}

// mustLedger is readLedger for moments at which the scheduler has to answer.
func mustLedger(ctx context.Context) ledger.Snapshot {
	GinkgoHelper()
	s, err := readLedger(ctx)
	Expect(err).NotTo(HaveOccurred())
	return s
}

// ledgerPods lists the pods of the ledger as "namespace/name state".
func ledgerPods(ctx context.Context) ([]string, error) {
	s, err := readLedger(ctx)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, p := range s.Pods {
		out = append(out, fmt.Sprintf("%s/%s %s", p.Namespace, p.Name, p.State))
	}
	return out, nil
}

// ledgerPod is the ledger's entry of one pod, nil if it has none.
func ledgerPod(s ledger.Snapshot, ns, name string) *ledger.PodSnapshot {
	for i := range s.Pods {
		if s.Pods[i].Namespace == ns && s.Pods[i].Name == name {
			return &s.Pods[i]
		}
	}
	return nil
}

// cardsOf are the node's cards in a snapshot.
func cardsOf(s ledger.Snapshot) []ledger.CardSnapshot {
	for _, n := range s.Nodes {
		if n.Name == cluster.NodeName {
			return n.Cards
		}
	}
	return nil
}

// overcommitted names the cards of which the ledger itself has sold more than there is.
func overcommitted(s ledger.Snapshot) []string {
	var out []string
	for _, n := range s.Nodes {
		for _, c := range n.Cards {
			if c.Overcommitted || c.Used.Memory > c.Capacity.Memory || c.Used.Slots > c.Capacity.Slots || c.Used.Cores > c.Capacity.Cores {
				out = append(out, fmt.Sprintf("%s on %s: used %+v of %+v", c.UUID, n.Name, c.Used, c.Capacity))
			}
		}
	}
	return out
}

// expectIdleCards checks what every spec leaves: all cards registered, healthy, with their usual
// capacity and unused in both books.
func expectIdleCards(ctx context.Context) {
	GinkgoHelper()
	cards := cardsOf(mustLedger(ctx))
	Expect(cards).To(HaveLen(cardCount))
	for _, c := range cards {
		Expect(c.Used).To(BeZero(), "card %s is in use", c.UUID)
		Expect(c.Future).To(BeZero(), "card %s is booked for later", c.UUID)
		Expect(c.Healthy).To(BeTrue(), "card %s", c.UUID)
		Expect(c.Capacity).To(Equal(ledger.Use{Slots: cardSlots, Memory: cardMemory, Cores: 100}), "card %s", c.UUID)
	}
}
