package volcano

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/wire"
)

// retryTimes are the pauses and limits while the outcome of a Binding is looked for.
type retryTimes struct {
	// linger is how long an API server may still work on a request whose client has given up.
	linger time.Duration
	// get bounds one read of the pod.
	get time.Duration
	// first and most are the shortest and the longest pause between reads.
	first, most time.Duration
}

var defaultRetryTimes = retryTimes{
	linger: 2 * time.Second,
	get:    10 * time.Second,
	first:  time.Second,
	most:   30 * time.Second,
}

// binding is what was sent.
type binding struct {
	pod        *v1.Pod
	node       string
	allocation string
}

// outcome is what the API says of a Binding.
type outcome int

const (
	outcomeUnknown outcome = iota
	outcomeBound
	outcomeNotBound
	// outcomeElsewhere: the pod is gone, or bound by somebody else.
	outcomeElsewhere
)

// settle finds out what a Binding did that returned an error, and leaves the ledger accordingly. It
// returns nil only when the pod is bound as sent.
func (b *Binder) settle(client kubernetes.Interface, sent binding, cause error) error {
	uid := string(sent.pod.UID)
	if refused(cause) {
		b.places.failed(uid, cause)
		b.setOpen(uid, false)
		b.metrics.count(resultRefused)
		return cause
	}
	found, err := b.look(client, sent)
	if found == outcomeNotBound && !answered(cause) {
		// The request may still be on its way through the API server, whose own limit for it is as long
		// as ours.
		if !b.pause(b.retry.linger) {
			found, err = outcomeUnknown, b.ctx.Err()
		} else {
			found, err = b.look(client, sent)
		}
	}
	if found != outcomeUnknown {
		return b.conclude(sent, found, cause)
	}
	b.metrics.count(resultUnknown)
	b.tasks.Add(1)
	go func() {
		defer b.tasks.Done()
		b.searchOutcome(client, sent, cause)
	}()
	return fmt.Errorf("%w; whether the pod is bound is not known (%v), its slice is kept until it is", cause, err)
}

// searchOutcome reads the pod until its fate is known, the ledger has learned it from the watch, or the
// process ends. There is no other end: a slice that is given back by the clock could be sold twice.
func (b *Binder) searchOutcome(client kubernetes.Interface, sent binding, cause error) {
	uid, ref := string(sent.pod.UID), klog.KObj(sent.pod)
	for wait := b.retry.first; b.pause(wait); wait = min(2*wait, b.retry.most) {
		if _, state, ok := b.ledger.Held(uid); !ok || state != ledger.Assumed {
			b.log.Info("Outcome of binding learned from the watch", "pod", ref, "held", ok, "state", state)
			b.setOpen(uid, false)
			return
		}
		found, err := b.look(client, sent)
		if found == outcomeUnknown {
			b.log.V(2).Info("Outcome of binding is still not known", "pod", ref, "node", sent.node, "err", err)
			continue
		}
		result := b.conclude(sent, found, cause)
		b.log.Info("Outcome of binding found", "pod", ref, "node", sent.node, "bound", result == nil)
		return
	}
}

// conclude leaves the ledger as the outcome demands.
func (b *Binder) conclude(sent binding, found outcome, cause error) error {
	uid := string(sent.pod.UID)
	defer b.setOpen(uid, false)
	switch found {
	case outcomeBound:
		b.places.over(uid)
		b.metrics.count(resultBound)
		return nil
	case outcomeElsewhere:
		b.places.over(uid)
		b.ledger.Release(uid)
		b.metrics.count(resultRefused)
		return fmt.Errorf("pod is gone or was bound by another scheduler: %w", cause)
	default:
		b.places.failed(uid, cause)
		b.metrics.count(resultRefused)
		return cause
	}
}

// look reads the pod once.
func (b *Binder) look(client kubernetes.Interface, sent binding) (outcome, error) {
	ctx, cancel := context.WithTimeout(b.ctx, b.retry.get)
	defer cancel()
	pod, err := client.CoreV1().Pods(sent.pod.Namespace).Get(ctx, sent.pod.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return outcomeElsewhere, nil
	case err != nil:
		return outcomeUnknown, fmt.Errorf("read pod: %w", err)
	case pod.UID != sent.pod.UID:
		return outcomeElsewhere, nil
	case pod.Spec.NodeName == "":
		return outcomeNotBound, nil
	case pod.Spec.NodeName == sent.node && pod.Annotations[wire.AllocationKey] == sent.allocation:
		return outcomeBound, nil
	default:
		return outcomeElsewhere, nil
	}
}

// pause waits and reports whether the process goes on.
func (b *Binder) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-b.ctx.Done():
		return false
	}
}

// refused reports whether an error says that the API server has not done, and will not do, what was
// asked. A conflict is none of them: an earlier try may have been the winner.
func refused(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) ||
		apierrors.IsBadRequest(err) || apierrors.IsUnauthorized(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsMethodNotSupported(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// answered reports whether the API server itself ended the request, with whatever result.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err)
}
