package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"
)

// stopTimeout bounds the wait for open health connections at the end.
const stopTimeout = 2 * time.Second

// listenHealth opens the health address and returns what serves it until its context ends. An empty
// address serves nothing.
func (s *Server) listenHealth(ctx context.Context) (func(context.Context), error) {
	if s.opts.HealthzAddress == "" {
		return func(context.Context) {}, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.opts.HealthzAddress)
	if err != nil {
		return nil, fmt.Errorf("listen for health checks: %w", err)
	}
	server := &http.Server{Handler: s.healthHandler(), ReadHeaderTimeout: 5 * time.Second}
	return func(ctx context.Context) {
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			<-ctx.Done()
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			_ = server.Shutdown(end)
		}()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "Health endpoint ended")
			return
		}
		<-stopped
	}, nil
}

// healthHandler answers /livez while the process runs, and /healthz and /readyz once the node is
// annotated and every resource is registered.
func (s *Server) healthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	ready := func(w http.ResponseWriter, _ *http.Request) {
		if missing := s.Missing(); len(missing) > 0 {
			http.Error(w, strings.Join(missing, "\n"), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	}
	mux.HandleFunc("GET /healthz", ready)
	mux.HandleFunc("GET /readyz", ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	return mux
}
