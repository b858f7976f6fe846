package gpuquota

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/quota"
)

// spaceKey names a ResourceQuota.
type spaceKey struct{ namespace, quota string }

// space is a ResourceQuota that limits devices.
type space struct {
	key    spaceKey
	hard   quota.Bounds
	scopes []v1.ScopedResourceSelectorRequirement
	// problem says why the limits cannot be read; no pod that the quota covers may then be placed.
	problem string
}

// namespaces are the ResourceQuotas of the namespaces that were asked for in this session.
type namespaces struct {
	plugin *plugin
	loaded map[string][]space
}

func newNamespaces(p *plugin) *namespaces {
	return &namespaces{plugin: p, loaded: map[string][]space{}}
}

// load reads the quotas of a namespace once, and charges them what its pods have, be they Volcano's or
// another scheduler's. Precondition: called from the session's goroutine.
func (n *namespaces) load(namespace string) {
	if _, known := n.loaded[namespace]; known {
		return
	}
	n.loaded[namespace] = nil
	core := n.plugin.ssn.InformerFactory().Core().V1()
	all, err := core.ResourceQuotas().Lister().ResourceQuotas(namespace).List(labels.Everything())
	if err != nil {
		n.plugin.quota.adapter.Log().Error(err, "Namespace quotas cannot be listed", "namespace", namespace)
		return
	}
	spaces := n.limiting(all)
	if len(spaces) == 0 {
		return
	}
	n.loaded[namespace] = spaces
	pods, err := core.Pods().Lister().Pods(namespace).List(labels.Everything())
	if err != nil {
		n.plugin.quota.adapter.Log().Error(err, "Pods cannot be listed", "namespace", namespace)
		return
	}
	n.chargePods(pods)
}

// limiting returns the quotas that limit devices, by name.
func (n *namespaces) limiting(all []*v1.ResourceQuota) []space {
	var spaces []space
	for _, q := range all {
		hard, errs := quota.ParseHard(q.Spec.Hard, n.plugin.quota.adapter.Requests())
		if hard.Empty() && len(errs) == 0 {
			continue
		}
		s := space{key: spaceKey{q.Namespace, q.Name}, hard: hard, scopes: scopesOf(q)}
		if len(errs) > 0 {
			s.problem = errs.ToAggregate().Error()
		}
		spaces = append(spaces, s)
	}
	slices.SortFunc(spaces, func(a, b space) int { return cmp.Compare(a.key.quota, b.key.quota) })
	return spaces
}

func (n *namespaces) chargePods(pods []*v1.Pod) {
	p := n.plugin
	for _, pod := range pods {
		charge, state, buffer := p.charged(pod, p.buffer)
		p.buffer = buffer
		if state != ledger.Assumed && !p.placed(pod) {
			continue
		}
		if state == "" {
			charge = quota.Ask(p.quota.adapter.Request(pod), p.pool)
		}
		if charge.IsZero() {
			continue
		}
		for _, key := range n.of(pod) {
			p.books.spaces[key] = p.books.spaces[key].Add(charge)
		}
	}
}

// of returns the quotas that cover a pod. Its namespace must have been loaded.
func (n *namespaces) of(pod *v1.Pod) []spaceKey {
	var keys []spaceKey
	for _, s := range n.loaded[pod.Namespace] {
		if s.covers(pod) {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// allows says whether all quotas that cover a pod allow it to be charged more.
func (n *namespaces) allows(b books, pod *v1.Pod, asked quota.Vector) quota.Verdict {
	for _, s := range n.loaded[pod.Namespace] {
		if !asked.IsZero() && s.covers(pod) {
			if verdict := s.allows(b, asked); !verdict.OK() {
				return verdict
			}
		}
	}
	return quota.Verdict{}
}

// allowsGang is allows for a job without pods: only quotas without scopes are sure to cover it.
func (n *namespaces) allowsGang(b books, namespace string, asked quota.Vector) quota.Verdict {
	for _, s := range n.loaded[namespace] {
		if len(s.scopes) == 0 {
			if verdict := s.allows(b, asked); !verdict.OK() {
				return verdict
			}
		}
	}
	return quota.Verdict{}
}

func (s *space) allows(b books, asked quota.Vector) quota.Verdict {
	v := quota.Verdict{Owner: s.key.namespace, Quota: s.key.quota}
	if s.problem != "" {
		v.Reason, v.Problem = quota.ReasonNamespaceQuota, s.problem
		return v
	}
	used := b.spaces[s.key]
	d, over := s.hard.Exceeds(used, asked)
	if !over {
		return quota.Verdict{}
	}
	v.Reason, v.Dimension, v.Used, v.Asked, v.Limit = quota.ReasonNamespace, d, used[d], asked[d], s.hard.Value[d]
	return v
}

// scopesOf returns all scopes of a quota in one form.
func scopesOf(q *v1.ResourceQuota) []v1.ScopedResourceSelectorRequirement {
	var scopes []v1.ScopedResourceSelectorRequirement
	for _, name := range q.Spec.Scopes {
		scopes = append(scopes, v1.ScopedResourceSelectorRequirement{ScopeName: name, Operator: v1.ScopeSelectorOpExists})
	}
	if q.Spec.ScopeSelector != nil {
		scopes = append(scopes, q.Spec.ScopeSelector.MatchExpressions...)
	}
	return scopes
}

// covers reports whether a pod is in all scopes of the quota, by the rules of Kubernetes. Quotas of
// cross-namespace affinity cover no devices.
func (s *space) covers(pod *v1.Pod) bool {
	for _, scope := range s.scopes {
		if !inScope(scope, pod) {
			return false
		}
	}
	return true
}

func inScope(scope v1.ScopedResourceSelectorRequirement, pod *v1.Pod) bool {
	terminating := pod.Spec.ActiveDeadlineSeconds != nil && *pod.Spec.ActiveDeadlineSeconds >= 0
	bestEffort := qos.GetPodQOS(pod) == v1.PodQOSBestEffort
	switch scope.ScopeName {
	case v1.ResourceQuotaScopeTerminating:
		return terminating
	case v1.ResourceQuotaScopeNotTerminating:
		return !terminating
	case v1.ResourceQuotaScopeBestEffort:
		return bestEffort
	case v1.ResourceQuotaScopeNotBestEffort:
		return !bestEffort
	case v1.ResourceQuotaScopePriorityClass:
		return ofPriorityClass(scope, pod.Spec.PriorityClassName)
	}
	return false
}

func ofPriorityClass(scope v1.ScopedResourceSelectorRequirement, class string) bool {
	selector, err := helper.ScopedResourceSelectorRequirementsAsSelector(scope)
	if err != nil {
		return false
	}
	set := labels.Set{}
	if class != "" {
		set[string(v1.ResourceQuotaScopePriorityClass)] = class
	}
	return selector.Matches(set)
}
