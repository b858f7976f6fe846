package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the agent's own. No label grows with pods.
type Metrics struct {
	allocations      prometheus.Counter
	preStartSeconds  *prometheus.HistogramVec
	cardCount        *prometheus.GaugeVec
	pinnedPods       prometheus.Gauge
	refused, started prometheus.Observer
}

// NewMetrics returns metrics that are registered with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		allocations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "basalt_agent_allocations_total",
			Help: "Containers for which the kubelet asked the device plugin to allocate.",
		}),
		preStartSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "basalt_agent_prestart_duration_seconds",
			Help:    "Time to make a container's slice ready, by result.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"result"}),
		cardCount: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "basalt_agent_cards",
			Help: "Cards of the node, by health.",
		}, []string{"health"}),
		pinnedPods: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "basalt_agent_pinned_pods",
			Help: "Pods with a frozen allocation on this node.",
		}),
	}
	m.started, m.refused = m.preStartSeconds.WithLabelValues("started"), m.preStartSeconds.WithLabelValues("refused")
	r.MustRegister(m.allocations, m.preStartSeconds, m.cardCount, m.pinnedPods)
	return m
}

func (m *Metrics) preStart(took time.Duration, err error) {
	if err != nil {
		m.refused.Observe(took.Seconds())
		return
	}
	m.started.Observe(took.Seconds())
}

func (m *Metrics) cards(healthy, sick int) {
	m.cardCount.WithLabelValues("healthy").Set(float64(healthy))
	m.cardCount.WithLabelValues("sick").Set(float64(sick))
}

func (m *Metrics) pods(n int) { m.pinnedPods.Set(float64(n)) }
