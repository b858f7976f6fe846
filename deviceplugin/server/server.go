// Package server builds the node agent from its options and runs it: the object graph, the order of
// start and stop, and the health endpoint. Rules live in the packages it connects.
package server

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/basalt-gpu/basalt/deviceplugin/agent"
	"github.com/basalt-gpu/basalt/deviceplugin/cdi"
	"github.com/basalt-gpu/basalt/deviceplugin/kubelet"
	"github.com/basalt-gpu/basalt/deviceplugin/library"
	"github.com/basalt-gpu/basalt/deviceplugin/node"
	"github.com/basalt-gpu/basalt/deviceplugin/pods"
	frozen "github.com/basalt-gpu/basalt/deviceplugin/record"
	"github.com/basalt-gpu/basalt/deviceplugin/slicefiles"
	"github.com/basalt-gpu/basalt/hamicore"
)

// component is the source of the agent's events.
const component = "basalt-device-plugin"

// Server is a node agent that is ready to run.
type Server struct {
	opts      Options
	agent     *agent.Agent
	pods      *pods.Source
	registrar *node.Registrar
	endpoints []*kubelet.Endpoint
	events    record.EventBroadcaster
	metrics   *prometheus.Registry
}

// New builds the agent: it installs the limiter, opens what is on disk and connects the parts. It
// starts nothing.
func New(ctx context.Context, o Options, client kubernetes.Interface, backend agent.Backend) (*Server, error) {
	if errs := o.Validate(); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	s := &Server{opts: o, metrics: prometheus.NewRegistry()}
	parts, err := openParts(ctx, o)
	if err != nil {
		return nil, err
	}
	if s.pods, err = pods.NewSource(client, o.NodeName); err != nil {
		return nil, err
	}
	s.events = record.NewBroadcaster(record.WithContext(ctx))
	s.events.StartRecordingToSink(&typedv1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	s.registrar = node.NewRegistrar(client, o.NodeName, o.Request.IgnoredNames())
	parts.Backend = backend
	parts.Pods = s.pods
	parts.Registrar = s.registrar
	parts.Events = s.events.NewRecorder(scheme.Scheme, v1.EventSource{Component: component, Host: o.NodeName})
	parts.Metrics = agent.NewMetrics(s.metrics)
	s.agent = agent.New(parts)
	if err := s.pods.OnChange(s.agent.PodChanged); err != nil {
		return nil, err
	}
	for _, resource := range o.CountResources {
		s.endpoints = append(s.endpoints, kubelet.NewEndpoint(o.KubeletDir, resource, s.agent.Tokens(), s.agent))
	}
	return s, nil
}

// openParts opens what lies on this node.
func openParts(ctx context.Context, o Options) (agent.Options, error) {
	lib, err := library.Install(o.Limiter, o.LibraryDir, hamicore.LibraryName, 0o755)
	if err != nil {
		return agent.Options{}, err
	}
	line := []byte(hamicore.ContainerDir + "/" + hamicore.LibraryName + "\n")
	preload, err := library.InstallContent(line, o.LibraryDir, filepath.Base(hamicore.PreloadPath), 0o644)
	if err != nil {
		return agent.Options{}, err
	}
	specs, err := cdi.Open(o.CDIDir)
	if err != nil {
		return agent.Options{}, err
	}
	files, err := slicefiles.Open(filepath.Join(o.RunDir, "pods"))
	if err != nil {
		return agent.Options{}, err
	}
	records, err := frozen.Open(filepath.Join(o.StateDir, "pods"))
	if records == nil {
		return agent.Options{}, err
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "Damaged records were set aside, their pods are pinned again")
	}
	return agent.Options{
		NodeName:      o.NodeName,
		KubeletDir:    o.KubeletDir,
		SchedulerName: o.SchedulerName,
		Request:       o.Request,
		ContextMemory: o.ContextMemory,
		Library:       lib,
		Preload:       preload,
		Holders:       kubelet.NewCheckpoint(o.KubeletDir, o.CountResources),
		Witness:       kubelet.NewPodResources(o.KubeletDir),
		Records:       records,
		Specs:         specs,
		Files:         files,
		Clock:         clock.RealClock{},
	}, nil
}

// Run serves until ctx ends and returns once everything has stopped. The endpoints do not wait for
// the API server: pods that were started before have all they need on disk.
func (s *Server) Run(ctx context.Context) error {
	health, err := s.listenHealth(ctx)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	start := func(f func(context.Context)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(ctx)
		}()
	}
	s.pods.Start(ctx)
	start(health)
	start(s.registrar.Run)
	start(s.agent.Run)
	for _, e := range s.endpoints {
		start(e.Run)
	}
	<-ctx.Done()
	klog.FromContext(ctx).Info("Stopping")
	wg.Wait()
	s.pods.Wait()
	s.events.Shutdown()
	return nil
}

// Missing returns what is not ready yet, in words.
func (s *Server) Missing() []string {
	var missing []string
	if !s.pods.Synced() {
		missing = append(missing, "the pods of the node are not known")
	}
	if !s.registrar.Ready() {
		missing = append(missing, "the node is not annotated")
	}
	for _, e := range s.endpoints {
		if !e.Registered() {
			missing = append(missing, fmt.Sprintf("%s is not registered with the kubelet", e.Resource()))
		}
	}
	return missing
}
