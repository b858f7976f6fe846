package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// CardsName is the resource under which queues limit physical cards, fractions allowed.
const CardsName v1.ResourceName = "basalt.io/gpu-cards"

// Largest limits: far above any cluster, far below where sums could overflow, and low enough to catch
// a quantity in bytes where MiB are meant.
const (
	maxMemory = 1<<34 - 1
	maxOther  = 1<<32 - 1
)

// IgnoredNames returns the names that schedulers which compare scalars must leave alone: those of
// requests, and those that exist in quotas only.
func IgnoredNames(o request.Options) []string {
	return append(o.IgnoredNames(), string(CardsName))
}

// Bounds are limits of some dimensions; the others are not limited.
type Bounds struct {
	Set   [dimensions]bool
	Value Vector
}

// Empty reports whether nothing is limited.
func (b Bounds) Empty() bool { return b.Set == [dimensions]bool{} }

// Of returns the limit of a dimension.
func (b Bounds) Of(d Dimension) (uint64, bool) { return b.Value[d], b.Set[d] }

func (b *Bounds) set(d Dimension, v uint64) { b.Set[d], b.Value[d] = true, v }

// Limits are what a queue says about devices.
type Limits struct {
	// Capability is the wall, Deserved what the queue may have although others want it, Guarantee what
	// nobody else may take.
	Capability, Deserved, Guarantee Bounds
}

// Empty reports whether the queue says nothing about devices.
func (l Limits) Empty() bool {
	return l.Capability.Empty() && l.Deserved.Empty() && l.Guarantee.Empty()
}

// fair returns what the queue may keep although others want it: what it deserves, at least its
// guarantee.
func (l *Limits) fair(d Dimension) (uint64, bool) {
	deserved, hasDeserved := l.Deserved.Of(d)
	guarantee, hasGuarantee := l.Guarantee.Of(d)
	return max(deserved, guarantee), hasDeserved || hasGuarantee
}

// Spec is the part of a queue in which limits stand.
type Spec struct {
	Capability, Deserved, Guarantee v1.ResourceList
}

// ParseLimits reads what a queue says about devices. All errors are returned at once; with any error
// the Limits say nothing.
func ParseLimits(s Spec, o request.Options) (Limits, field.ErrorList) {
	path := field.NewPath("spec")
	var l Limits
	var errs field.ErrorList
	for _, part := range []struct {
		path *field.Path
		list v1.ResourceList
		into *Bounds
	}{
		{path.Child("capability"), s.Capability, &l.Capability},
		{path.Child("deserved"), s.Deserved, &l.Deserved},
		{path.Child("guarantee", "resource"), s.Guarantee, &l.Guarantee},
	} {
		b, partErrs := parseBounds(part.path, part.list, "", o)
		*part.into, errs = b, append(errs, partErrs...)
	}
	if len(errs) == 0 {
		errs = append(errs, l.checkOrder(path)...)
	}
	if len(errs) > 0 {
		return Limits{}, errs
	}
	return l, nil
}

// checkOrder refuses a guarantee or a deserved part above the wall: it could never be used.
func (l *Limits) checkOrder(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, d := range Dimensions() {
		wall, walled := l.Capability.Of(d)
		deserved, hasDeserved := l.Deserved.Of(d)
		guarantee, hasGuarantee := l.Guarantee.Of(d)
		if walled && hasDeserved && deserved > wall {
			errs = append(errs, field.Invalid(path.Child("deserved"), d.Format(deserved),
				fmt.Sprintf("%s: must be at most spec.capability, %s", d, d.Format(wall))))
		}
		if walled && hasGuarantee && guarantee > wall {
			errs = append(errs, field.Invalid(path.Child("guarantee", "resource"), d.Format(guarantee),
				fmt.Sprintf("%s: must be at most spec.capability, %s", d, d.Format(wall))))
		}
	}
	return errs
}

// ParseHard reads the hard limits of a namespace's ResourceQuota: our names with "limits." or
// "requests." before them. Names of other resources are skipped.
func ParseHard(hard v1.ResourceList, o request.Options) (Bounds, field.ErrorList) {
	path := field.NewPath("spec", "hard")
	limits, errs := parseBounds(path, hard, "limits.", o)
	requests, requestErrs := parseBounds(path, hard, "requests.", o)
	for _, d := range Dimensions() {
		// Devices are never overcommitted, so requests and limits are one number and the tighter holds.
		if v, ok := requests.Of(d); ok && (!limits.Set[d] || v < limits.Value[d]) {
			limits.set(d, v)
		}
	}
	errs = append(errs, requestErrs...)
	if len(errs) > 0 {
		return Bounds{}, errs
	}
	return limits, nil
}

// named is a resource name that limits a dimension.
type named struct {
	name v1.ResourceName
	dim  Dimension
	unit uint64 // of the dimension, per one of the resource
}

func limitNames(o request.Options) []named {
	var all []named
	for _, n := range o.Names {
		for _, one := range []named{{n.Count, Slots, 1}, {n.Memory, Memory, uint64(o.MemoryFactor)}, {n.Cores, Cores, 1}} {
			if one.name != "" {
				all = append(all, one)
			}
		}
	}
	return append(all, named{CardsName, Cards, 1})
}

// pointless are names that a container may use and a limit may not.
func pointless(o request.Options) map[v1.ResourceName]v1.ResourceName {
	names := map[v1.ResourceName]v1.ResourceName{}
	for _, n := range o.Names {
		if n.MemoryPercentage != "" {
			names[n.MemoryPercentage] = n.Memory
		}
		if n.Priority != "" {
			names[n.Priority] = ""
		}
	}
	return names
}

func parseBounds(path *field.Path, list v1.ResourceList, prefix string, o request.Options) (Bounds, field.ErrorList) {
	var b Bounds
	var errs field.ErrorList
	var by [dimensions]named
	for _, n := range limitNames(o) {
		key := v1.ResourceName(prefix) + n.name
		q, ok := list[key]
		if !ok {
			continue
		}
		v, err := amount(path.Key(string(key)), q, n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if b.Set[n.dim] && b.Value[n.dim] != v {
			errs = append(errs, field.Invalid(path.Key(string(key)), q.String(), fmt.Sprintf(
				"differs from %s%s, which limits the same: give one of them, or the same value", prefix, by[n.dim].name)))
			continue
		}
		b.set(n.dim, v)
		by[n.dim] = n
	}
	forbidden := pointless(o)
	for _, name := range slices.Sorted(maps.Keys(list)) {
		bare, ours := strings.CutPrefix(string(name), prefix)
		if instead, ok := forbidden[v1.ResourceName(bare)]; ours && ok {
			errs = append(errs, pointlessError(path.Key(string(name)), prefix, instead))
		}
	}
	return b, errs
}

func pointlessError(path *field.Path, prefix string, instead v1.ResourceName) *field.Error {
	if instead == "" {
		return field.Forbidden(path, "is no amount and cannot be limited")
	}
	return field.Forbidden(path, fmt.Sprintf("a percentage of unknown cards cannot be limited: give %s%s or %s", prefix, instead, CardsName))
}

// amount reads a limit in the unit of its dimension.
func amount(path *field.Path, q resource.Quantity, n named) (uint64, *field.Error) {
	if q.Sign() < 0 {
		return 0, field.Invalid(path, q.String(), "must not be negative")
	}
	if n.dim == Cards {
		milli := resource.NewMilliQuantity(q.MilliValue(), resource.DecimalSI)
		if q.Cmp(*resource.NewQuantity(maxOther/WholeCard, resource.DecimalSI)) > 0 || milli.Cmp(q) != 0 {
			return 0, field.Invalid(path, q.String(), fmt.Sprintf("must be a number of cards of at most %d, in steps of a thousandth", maxOther/WholeCard))
		}
		return uint64(q.MilliValue()), nil
	}
	most, unit := uint64(maxOther), ""
	if n.dim == Memory {
		most, unit = maxMemory/n.unit, fmt.Sprintf(" (the unit is %d MiB)", n.unit)
	}
	v := q.Value()
	if q.Cmp(*resource.NewQuantity(v, resource.DecimalSI)) != 0 || v < 0 || uint64(v) > most {
		return 0, field.Invalid(path, q.String(), fmt.Sprintf("must be a whole number of at most %d%s", most, unit))
	}
	return uint64(v) * n.unit, nil
}

// ListCharge is what a list of summed requests is worth at least: it counts per-card amounts once.
func ListCharge(list v1.ResourceList, o request.Options, pool *Pool) Vector {
	var v Vector
	for _, n := range limitNames(o) {
		if q, ok := list[n.name]; ok && q.Sign() > 0 && n.dim != Cards {
			v[n.dim] += min(uint64(q.Value()), maxOther) * n.unit
		}
	}
	if card := pool.largest(request.Selector{}); card != nil {
		v[Cards] = max(share(v[Memory], uint64(card.Capacity.Memory)), share(v[Cores], uint64(card.Capacity.Cores)))
	}
	return v
}
