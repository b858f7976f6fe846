package volcano

import (
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// parsedRequest is what a pod's spec and annotations ask for. Exactly one of the three holds: no
// devices (both fields empty), a request, or errors.
type parsedRequest struct {
	version string
	pod     *request.Pod
	errs    field.ErrorList
	// own is the policy that the pod itself names; the request has what follows from it and from the
	// defaults.
	own request.Policy
}

func (p *parsedRequest) asks() bool { return p.pod != nil || len(p.errs) > 0 }

// under returns the request with what its pod leaves open taken from the defaults.
func (p *parsedRequest) under(defaults request.Policy) *parsedRequest {
	if p.pod == nil {
		return p
	}
	pod := p.pod.WithPolicy(p.own.Or(defaults))
	if pod == p.pod {
		return p
	}
	return &parsedRequest{version: p.version, pod: pod, own: p.own}
}

// problem is the text of a malformed request, for users.
func (p *parsedRequest) problem() string {
	return plain(p.errs.ToAggregate().Error())
}

// requestTable parses each version of a pod once, not once per node. It keeps what this session and
// the one before used; pods that are pending for long are not parsed again every second.
type requestTable struct {
	options request.Options

	mu       sync.RWMutex
	now, old map[types.UID]*parsedRequest // guarded by mu; entries are immutable
	// defaults returns the policy for what a pod leaves open, nil where there is none. It holds for one
	// session. Guarded by mu.
	defaults func(*v1.Pod) request.Policy
}

func newRequestTable(o request.Options) *requestTable {
	return &requestTable{options: o, now: map[types.UID]*parsedRequest{}}
}

// turn starts a new session with its defaults: what was not used in the last one is dropped.
func (t *requestTable) turn(defaults func(*v1.Pod) request.Policy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.defaults = defaults
	t.old, t.now = t.now, make(map[types.UID]*parsedRequest, len(t.now))
}

// of returns the request of pod. It is safe for the parallel predicates.
func (t *requestTable) of(pod *v1.Pod) *parsedRequest {
	t.mu.RLock()
	p := t.now[pod.UID]
	t.mu.RUnlock()
	if p != nil && p.version == pod.ResourceVersion {
		return p
	}
	t.mu.RLock()
	p = t.old[pod.UID]
	defaults := t.defaults
	t.mu.RUnlock()
	if p == nil || p.version != pod.ResourceVersion {
		parsed, errs := request.Parse(pod, t.options)
		if len(errs) > 0 {
			parsed = nil
		}
		p = &parsedRequest{version: pod.ResourceVersion, pod: parsed, errs: errs}
		if parsed != nil {
			p.own = parsed.Policy
		}
	}
	if defaults != nil {
		p = p.under(defaults(pod))
	}
	t.mu.Lock()
	t.now[pod.UID] = p
	t.mu.Unlock()
	return p
}

// Plain makes text safe for Volcano, which passes messages on as format strings.
func Plain(s string) string { return plain(s) }

func plain(s string) string { return strings.ReplaceAll(s, "%", " percent") }
