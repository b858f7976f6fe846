package quota

import "fmt"

// Reason is why a charge is refused. The texts are shown to users and stable.
type Reason string

// The reasons.
const (
	// ReasonCapability: the queue, or one of its parents, would go beyond spec.capability.
	ReasonCapability Reason = "queue limit exceeded"
	// ReasonGuaranteed: what is left is guaranteed to other queues.
	ReasonGuaranteed Reason = "rest is guaranteed to other queues"
	// ReasonDeserved: the queue would go beyond what it deserves, so it cannot take from others.
	ReasonDeserved Reason = "queue would exceed what it deserves"
	// ReasonQueue: what the queue says about devices cannot be read.
	ReasonQueue Reason = "queue is not usable for devices"
	// ReasonNamespace: the namespace would go beyond a ResourceQuota.
	ReasonNamespace Reason = "namespace quota exceeded"
	// ReasonNamespaceQuota: a ResourceQuota of the namespace cannot be read.
	ReasonNamespaceQuota Reason = "namespace quota is not usable"
)

// Verdict says whether a charge is allowed, and if not, by whom it is refused, and with what numbers.
type Verdict struct {
	Reason Reason
	// Owner is the queue or the namespace, Quota the ResourceQuota of the latter.
	Owner, Quota string
	Dimension    Dimension
	// Used, Asked and Limit are in the unit of the dimension.
	Used, Asked, Limit uint64
	// Problem is set where limits cannot be read.
	Problem string
}

// OK reports whether the charge is allowed.
func (v Verdict) OK() bool { return v.Reason == "" }

// String returns a sentence for users; it is empty when the charge is allowed.
func (v Verdict) String() string {
	switch v.Reason {
	case "":
		return ""
	case ReasonQueue:
		return fmt.Sprintf("queue %s: %s: %s", v.Owner, v.Reason, v.Problem)
	case ReasonNamespaceQuota:
		return fmt.Sprintf("namespace %s, quota %s: %s: %s", v.Owner, v.Quota, v.Reason, v.Problem)
	case ReasonNamespace:
		return fmt.Sprintf("namespace %s, quota %s: %s: %s: %s, hard limit %s", v.Owner, v.Quota, v.Reason, v.Dimension, v.amounts(),
			v.Dimension.Format(v.Limit))
	}
	return fmt.Sprintf("queue %s: %s: %s: %s, limit %s", v.Owner, v.Reason, v.Dimension, v.amounts(), v.Dimension.Format(v.Limit))
}

func (v Verdict) amounts() string {
	return fmt.Sprintf("used %s, asked %s", v.Dimension.Format(v.Used), v.Dimension.Format(v.Asked))
}

// Exceeds returns the first dimension in which asked does not fit under the bounds beside used.
func (b Bounds) Exceeds(used, asked Vector) (Dimension, bool) {
	for _, d := range Dimensions() {
		if b.Set[d] && asked[d] > 0 && (used[d] > b.Value[d] || asked[d] > b.Value[d]-used[d]) {
			return d, true
		}
	}
	return 0, false
}

// Allows reports whether a queue may be charged more: whether it and all its parents stay within
// their limits. Dimensions that are not asked are not judged: a queue over its memory may still place
// pods without devices.
func (t *Tree) Allows(s Sums, queue string, asked Vector) Verdict {
	return t.allows(s, queue, asked, false)
}

// AllowsItself is Allows without the parents: what no change in another queue can help.
func (t *Tree) AllowsItself(s Sums, queue string, asked Vector) Verdict {
	return t.allows(s, queue, asked, true)
}

func (t *Tree) allows(s Sums, queue string, asked Vector, itself bool) Verdict {
	var verdict Verdict
	if asked.IsZero() {
		return verdict
	}
	t.up(queue, func(i int) bool {
		verdict = t.nodes[i].allows(s[i], asked)
		return verdict.OK() && !itself
	})
	return verdict
}

func (n *node) allows(used, asked Vector) Verdict {
	if n.Problem != "" {
		return Verdict{Reason: ReasonQueue, Owner: n.Name, Problem: n.Problem}
	}
	d, over := n.wall.Exceeds(used, asked)
	if !over {
		return Verdict{}
	}
	reason := ReasonCapability
	if n.reserved[d] {
		reason = ReasonGuaranteed
	}
	return Verdict{Reason: reason, Owner: n.Name, Dimension: d, Used: used[d], Asked: asked[d], Limit: n.wall.Value[d]}
}
