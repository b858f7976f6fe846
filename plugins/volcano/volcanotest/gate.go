package volcanotest

import (
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// gate is a watch whose events can be held back. It takes events from its source at once, because the
// fake clientset's watches break when a reader is slow.
type gate struct {
	source   watch.Interface
	out      chan watch.Event
	commands chan func()
	done     chan struct{}
	stop     func()

	// What follows belongs to the goroutine.

	queue []watch.Event
	held  []watch.Event
	match func(*v1.Pod) bool
	// late holds the pods of which an event is held: later ones must not overtake it.
	late map[types.UID]bool
}

func newGate(source watch.Interface) *gate {
	g := &gate{source: source, out: make(chan watch.Event), commands: make(chan func()), done: make(chan struct{}), late: map[types.UID]bool{}}
	g.stop = sync.OnceFunc(func() { close(g.done); source.Stop() })
	go g.run()
	return g
}

// ResultChan implements watch.Interface.
func (g *gate) ResultChan() <-chan watch.Event { return g.out }

// Stop implements watch.Interface.
func (g *gate) Stop() { g.stop() }

func (g *gate) run() {
	defer close(g.out)
	for {
		var out chan watch.Event
		var next watch.Event
		if len(g.queue) > 0 {
			out, next = g.out, g.queue[0]
		}
		select {
		case e, open := <-g.source.ResultChan():
			if !open {
				return
			}
			g.take(e)
		case out <- next:
			g.queue = g.queue[1:]
		case command := <-g.commands:
			command()
		case <-g.done:
			return
		}
	}
}

func (g *gate) take(e watch.Event) {
	if pod, ok := e.Object.(*v1.Pod); ok && (g.late[pod.UID] || g.match != nil && g.match(pod)) {
		g.late[pod.UID] = true
		g.held = append(g.held, e)
		return
	}
	g.queue = append(g.queue, e)
}

// do runs a command in the goroutine, unless the watch has ended.
func (g *gate) do(command func()) {
	ran := make(chan struct{})
	select {
	case g.commands <- func() { command(); close(ran) }:
		<-ran
	case <-g.done:
	}
}

// open ends the holding back. Held events are passed on, or dropped.
func (g *gate) open(pass bool) {
	g.do(func() {
		if pass {
			g.queue = append(g.queue, g.held...)
		}
		g.match, g.held, g.late = nil, nil, map[types.UID]bool{}
	})
}

// HoldPods keeps events about matching pods, and all later ones about the same pods, from the watch,
// until Deliver or Lose. What the API answers to reads is not affected.
func (c *Cluster) HoldPods(match func(*v1.Pod) bool) {
	for _, g := range c.podGates(true) {
		g.do(func() { g.match = match })
	}
}

// HoldBound keeps what is bound from the watch.
func (c *Cluster) HoldBound() { c.HoldPods(func(p *v1.Pod) bool { return p.Spec.NodeName != "" }) }

// Deliver passes the held events on, in their order.
func (c *Cluster) Deliver() {
	for _, g := range c.podGates(false) {
		g.open(true)
	}
}

// Lose drops the held events: the watch learns of those pods with their next change.
func (c *Cluster) Lose() {
	for _, g := range c.podGates(true) {
		g.open(false)
	}
}

func (c *Cluster) podGates(blind bool) []*gate {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blind = blind
	return c.gates["pods"]
}
