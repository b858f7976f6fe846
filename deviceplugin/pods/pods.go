// Package pods knows the pods of this node as the API server has them. It reads this node's pods
// only and writes nothing.
package pods

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	byUID = "uid"

	// pollInterval is how often Get looks at the informer and asks the API server while it waits.
	pollInterval = 250 * time.Millisecond
	// listTimeout bounds one direct list; an API server that is away must not hold a container start.
	listTimeout = 5 * time.Second
)

var (
	// ErrNotFound: the API server answered, and there is no such pod on this node.
	ErrNotFound = errors.New("pod is not on this node")
	// ErrUnknown: the informer does not have the pod and the API server did not answer.
	ErrUnknown = errors.New("pod is unknown while the API server does not answer")
)

// Source finds pods of one node by UID.
type Source struct {
	client   kubernetes.Interface
	node     string
	factory  informers.SharedInformerFactory
	informer cache.SharedIndexInformer
}

// NewSource returns a source of the pods bound to node. Start it before use.
func NewSource(client kubernetes.Interface, node string) (*Source, error) {
	f := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = onNode(node) }),
		informers.WithTransform(trim))
	s := &Source{client: client, node: node, factory: f, informer: f.Core().V1().Pods().Informer()}
	if err := s.informer.AddIndexers(cache.Indexers{byUID: indexUID}); err != nil {
		return nil, fmt.Errorf("index pods by UID: %w", err)
	}
	return s, nil
}

func onNode(node string) string { return fields.OneTermEqualSelector("spec.nodeName", node).String() }

func indexUID(obj any) ([]string, error) {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil, fmt.Errorf("index pod by UID: object is %T", obj)
	}
	return []string{string(pod.UID)}, nil
}

// trim drops what nobody here reads: with 110 pods per node it is most of the memory.
func trim(obj any) (any, error) {
	if pod, ok := obj.(*v1.Pod); ok {
		pod.ManagedFields = nil
	}
	return obj, nil
}

// OnChange calls f for every pod that is added or changed. Call it before Start.
func (s *Source) OnChange(f func(*v1.Pod)) error {
	_, err := s.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { f(obj.(*v1.Pod)) },
		UpdateFunc: func(_, obj any) { f(obj.(*v1.Pod)) },
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	return nil
}

// Start runs the informer until ctx ends; Synced tells when it has its first list.
func (s *Source) Start(ctx context.Context) { s.factory.Start(ctx.Done()) }

// Wait returns when what Start began has ended.
func (s *Source) Wait() { s.factory.Shutdown() }

// Synced says whether the informer has seen the pods that were there at its start.
func (s *Source) Synced() bool { return s.informer.HasSynced() }

// Get returns the pod with this UID. The kubelet may be ahead of the informer, so a miss asks the
// API server directly, until ctx ends.
func (s *Source) Get(ctx context.Context, uid string) (*v1.Pod, error) {
	for {
		if pod, ok := s.Cached(uid); ok {
			return pod, nil
		}
		pod, err := s.list(ctx, uid)
		if pod != nil || errors.Is(err, ErrNotFound) {
			return pod, err
		}
		t := time.NewTimer(pollInterval)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
		case <-t.C:
		}
	}
}

// Cached returns the pod if the informer has it.
func (s *Source) Cached(uid string) (*v1.Pod, bool) {
	found, err := s.informer.GetIndexer().ByIndex(byUID, uid)
	if err != nil || len(found) == 0 {
		return nil, false
	}
	pod, ok := found[0].(*v1.Pod)
	return pod, ok
}

// list asks the API server, past its watch cache: an answer without the pod means that it is gone.
func (s *Source) list(ctx context.Context, uid string) (*v1.Pod, error) {
	all, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	if pod, ok := all[uid]; ok {
		return pod, nil
	}
	return nil, fmt.Errorf("%w: UID %s", ErrNotFound, uid)
}

// List returns the pods of this node by UID, read from the API server itself.
func (s *Source) List(ctx context.Context) (map[string]*v1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	found, err := s.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: onNode(s.node)})
	if err != nil {
		return nil, fmt.Errorf("list pods of node %s: %w", s.node, err)
	}
	out := make(map[string]*v1.Pod, len(found.Items))
	for i := range found.Items {
		// The fake clientset of tests does not evaluate field selectors; a real server does.
		if found.Items[i].Spec.NodeName == s.node {
			out[string(found.Items[i].UID)] = &found.Items[i]
		}
	}
	return out, nil
}

// Ended says whether the pod's containers are gone for good. The kubelet reports a terminal phase
// only after the last container has stopped; others who set the phase may be wrong, so a container
// that is shown running counts.
func Ended(pod *v1.Pod) bool {
	if pod.Status.Phase != v1.PodSucceeded && pod.Status.Phase != v1.PodFailed {
		return false
	}
	for _, list := range [][]v1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range list {
			if c.State.Running != nil {
				return false
			}
		}
	}
	return true
}
