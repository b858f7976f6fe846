package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/klog/v2"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	// watchInterval is how often the sockets are looked at. Two stat calls cost microseconds, need no
	// inotify instance, and miss nothing; a kubelet restart is answered well within a second.
	watchInterval = 200 * time.Millisecond

	registerTimeout = 5 * time.Second
)

// errSocketGone ends a session whose own socket was removed, as a starting kubelet does to every
// plugin socket.
var errSocketGone = errors.New("own socket is gone")

// Endpoint serves one resource to the kubelet and stays registered over kubelet restarts.
type Endpoint struct {
	dir        string
	resource   string
	tokens     Tokens
	handler    Handler
	registered atomic.Bool
}

// NewEndpoint returns an endpoint for resource in the kubelet's directory.
func NewEndpoint(kubeletDir, resource string, tokens Tokens, handler Handler) *Endpoint {
	return &Endpoint{dir: pluginDir(kubeletDir), resource: resource, tokens: tokens, handler: handler}
}

// Registered says whether the kubelet that runs now knows this endpoint.
func (e *Endpoint) Registered() bool { return e.registered.Load() }

// Resource is the name of the count resource.
func (e *Endpoint) Resource() string { return e.resource }

// Run serves until ctx ends. Each session is one socket and one registration; what ends a session
// (a restarted kubelet, a removed socket, a dropped stream) starts the next.
func (e *Endpoint) Run(ctx context.Context) {
	logger := klog.FromContext(ctx).WithValues("resource", e.resource)
	for ctx.Err() == nil {
		if err := e.session(klog.NewContext(ctx, logger)); err != nil && ctx.Err() == nil {
			logger.Info("Device plugin session ended, starting another", "reason", err.Error())
		}
		sleep(ctx, watchInterval)
	}
}

func (e *Endpoint) session(ctx context.Context) error {
	own := filepath.Join(e.dir, e.socketName())
	stop, dropped := make(chan struct{}), make(chan struct{}, 1)
	server := grpc.NewServer()
	pluginapi.RegisterDevicePluginServer(server, &service{
		resource: e.resource, tokens: e.tokens, handler: e.handler, stop: stop, dropped: dropped,
	})
	listener, err := listen(own)
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	serving.Add(1)
	go func() {
		defer serving.Done()
		// Serve returns only when the session stops it; a listener that breaks shows as a socket that
		// the kubelet cannot dial, hence as a dropped stream.
		_ = server.Serve(listener)
	}()
	// The old server must be gone before the next socket is made: closing a unix listener unlinks its
	// path, whoever's socket lies there by then.
	defer func() {
		e.registered.Store(false)
		close(stop)
		server.Stop()
		serving.Wait()
	}()

	kubelet, err := e.register(ctx, own)
	if err != nil {
		return err
	}
	e.registered.Store(true)
	klog.FromContext(ctx).Info("Registered with the kubelet")
	return e.watch(ctx, own, kubelet, dropped)
}

// register tries until a kubelet accepts and returns the identity of the socket it accepted on.
func (e *Endpoint) register(ctx context.Context, own string) (fs.FileInfo, error) {
	socket := filepath.Join(e.dir, filepath.Base(pluginapi.KubeletSocket))
	var last error
	for {
		if _, err := os.Stat(own); err != nil {
			return nil, errors.Join(errSocketGone, last)
		}
		// The identity is taken before the call: a kubelet that restarts in between then differs from
		// it, and the watch begins a new session.
		identity, err := os.Stat(socket)
		if err == nil {
			err = e.callRegister(ctx, socket)
		}
		if err == nil {
			return identity, nil
		}
		if last == nil || last.Error() != err.Error() {
			klog.FromContext(ctx).V(2).Info("Waiting for the kubelet to accept the registration", "reason", err.Error())
		}
		last = err
		if !sleep(ctx, watchInterval) {
			return nil, ctx.Err()
		}
	}
}

func (e *Endpoint) callRegister(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial kubelet: %w", err)
	}
	defer conn.Close()
	_, err = pluginapi.NewRegistrationClient(conn).Register(ctx, &pluginapi.RegisterRequest{
		Version:      pluginapi.Version,
		Endpoint:     e.socketName(),
		ResourceName: e.resource,
		Options:      options(),
	})
	if err != nil {
		return fmt.Errorf("register %s: %w", e.resource, err)
	}
	return nil
}

// watch returns why the session must end.
func (e *Endpoint) watch(ctx context.Context, own string, kubelet fs.FileInfo, dropped <-chan struct{}) error {
	socket := filepath.Join(e.dir, filepath.Base(pluginapi.KubeletSocket))
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-dropped:
			return errors.New("the kubelet left the device stream")
		case <-ticker.C:
		}
		if _, err := os.Stat(own); err != nil {
			return errSocketGone
		}
		// A kubelet that is down leaves no socket: wait for the next one, which is a new file.
		if now, err := os.Stat(socket); err == nil && !sameSocket(kubelet, now) {
			return errors.New("the kubelet restarted")
		}
	}
}

// sameSocket compares the times too: file systems give a freed inode number out again at once.
func sameSocket(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}

func (e *Endpoint) socketName() string {
	return "basalt-" + strings.NewReplacer("/", "_", ".", "-").Replace(e.resource) + ".sock"
}

func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the kubelet: %w", err)
	}
	return l, nil
}

// sleep waits for d and says whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
