package volcano

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
)

// Results of a Binding, as label values.
const (
	resultBound   = "bound"
	resultRefused = "refused"
	resultUnknown = "unknown"
	resultNoSlice = "no_slice"
)

func plainResult(err error) string {
	if err != nil {
		return resultRefused
	}
	return resultBound
}

type bindMetrics struct{ results *prometheus.CounterVec }

func newBindMetrics(r prometheus.Registerer) bindMetrics {
	m := bindMetrics{results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "basalt",
		Subsystem: "scheduler",
		Name:      "bindings_total",
		Help: "Bindings by result: bound, refused (not bound, slice released), unknown (no answer, slice kept until " +
			"the pod's state is known), no_slice (never sent: the pod had no slice).",
	}, []string{"result"})}
	if r != nil {
		r.MustRegister(m.results)
	}
	return m
}

func (m bindMetrics) count(result string) { m.results.WithLabelValues(result).Inc() }

// podStates collects the pods of a ledger by state when it is scraped.
type podStates struct {
	ledger *ledger.Ledger
	desc   *prometheus.Desc
}

func registerHeldPods(r prometheus.Registerer, l *ledger.Ledger) {
	if r == nil {
		return
	}
	r.MustRegister(&podStates{ledger: l, desc: prometheus.NewDesc("basalt_scheduler_device_pods",
		"Pods that have devices in the scheduler's ledger, by state: held, assumed, bound or releasing.", []string{"state"}, nil)})
}

// Describe implements prometheus.Collector.
func (p *podStates) Describe(ch chan<- *prometheus.Desc) { ch <- p.desc }

// Collect implements prometheus.Collector.
func (p *podStates) Collect(ch chan<- prometheus.Metric) {
	count := map[ledger.State]int{}
	for _, pod := range p.ledger.Snapshot().Pods {
		count[pod.State]++
	}
	for _, state := range []ledger.State{ledger.Held, ledger.Assumed, ledger.Bound, ledger.Releasing} {
		ch <- prometheus.MustNewConstMetric(p.desc, prometheus.GaugeValue, float64(count[state]), string(state))
	}
}
