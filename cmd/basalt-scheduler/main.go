// Command basalt-scheduler is Volcano's scheduler with Basalt's device sharing compiled in. It takes
// all flags of volcano-scheduler, and a few of its own that begin with --basalt.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	v1 "k8s.io/api/core/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseoptions "k8s.io/component-base/config/options"
	"k8s.io/klog/v2"
	"volcano.sh/volcano/cmd/scheduler/app"
	"volcano.sh/volcano/cmd/scheduler/app/options"
	"volcano.sh/volcano/pkg/kube"
	_ "volcano.sh/volcano/pkg/scheduler/actions" // Volcano's own actions and plugins register themselves.
	_ "volcano.sh/volcano/pkg/scheduler/plugins"
	_ "volcano.sh/volcano/pkg/scheduler/util/assert"
	commonutil "volcano.sh/volcano/pkg/util"
	"volcano.sh/volcano/pkg/version"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/plugins/volcano"
	"github.com/basalt-gpu/basalt/plugins/volcano/gpuquota"
)

const component = "basalt-scheduler"

// flags are Basalt's own.
type flags struct {
	bindTimeout   time.Duration
	bindWorkers   int
	listenAddress string
	logFlush      time.Duration
}

func (f *flags) add(fs *pflag.FlagSet) {
	fs.DurationVar(&f.bindTimeout, "basalt-bind-timeout", volcano.DefaultBindTimeout,
		"Time limit of one binding. After it the pod's devices stay held until the API server says whether the pod is bound.")
	fs.IntVar(&f.bindWorkers, "basalt-bind-workers", volcano.DefaultBindWorkers, "How many bindings are sent at once.")
	fs.StringVar(&f.listenAddress, "basalt-listen-address", "127.0.0.1:8085",
		"Address that serves the ledger of devices at "+volcano.LedgerPath+"; empty serves nothing.")
	fs.DurationVar(&f.logFlush, "log-flush-frequency", 5*time.Second, "Maximum time between log flushes.")
}

func (f *flags) validate() error {
	if f.bindTimeout < time.Second {
		return fmt.Errorf("--basalt-bind-timeout: %s: must be at least 1s", f.bindTimeout)
	}
	if f.bindWorkers < 1 {
		return fmt.Errorf("--basalt-bind-workers: %d: must be at least 1", f.bindWorkers)
	}
	return nil
}

func main() {
	klog.InitFlags(nil)
	var own flags
	opt := parse(&own)
	if opt.PrintVersion {
		version.PrintVersionAndExit()
	}
	err := run(opt, own)
	klog.Flush()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", component, err)
		os.Exit(1)
	}
}

// parse reads the command line into Volcano's options and ours.
func parse(own *flags) *options.ServerOption {
	fs := pflag.CommandLine
	opt := options.NewServerOption()
	opt.AddFlags(fs)
	utilfeature.DefaultMutableFeatureGate.AddFlag(fs)
	commonutil.LeaderElectionDefault(&opt.LeaderElection)
	opt.LeaderElection.ResourceName = commonutil.GenerateComponentName(opt.SchedulerNames)
	componentbaseoptions.BindLeaderElectionFlags(&opt.LeaderElection, fs)
	opt.RegisterOptions()
	own.add(fs)
	cliflag.InitFlags()
	return opt
}

func run(opt *options.ServerOption, own flags) error {
	if err := errors.Join(own.validate(), opt.CheckOptionOrDie()); err != nil {
		return err
	}
	if opt.CaCertFile != "" && opt.CertFile != "" && opt.KeyFile != "" {
		if err := opt.ParseCAFiles(nil); err != nil {
			return fmt.Errorf("read certificates: %w", err)
		}
	}
	klog.StartFlushDaemon(own.logFlush)
	defer klog.StopFlushDaemon()
	if err := checkConfiguration(opt.SchedulerConf); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), klog.Background()))
	client, err := newClient(opt, own.bindTimeout)
	if err != nil {
		cancel()
		return err
	}
	recorder, stopRecorder := newRecorder(client)
	defer stopRecorder()
	adapter, err := volcano.New(ctx, ledger.New(), volcano.Options{
		Requests:    request.Defaults(),
		Client:      client,
		BindTimeout: own.bindTimeout,
		BindWorkers: own.bindWorkers,
		Recorder:    recorder,
		Metrics:     prometheus.DefaultRegisterer,
	})
	if err != nil {
		cancel()
		return err
	}
	defer adapter.Wait()
	defer cancel()
	adapter.Register()
	gpuquota.New(adapter).Register()
	if err := serve(ctx, own.listenAddress, volcano.LedgerHandler(adapter.Ledger())); err != nil {
		return err
	}
	return app.Run(opt)
}

// checkConfiguration judges the scheduler configuration before Volcano reads it.
func checkConfiguration(path string) error {
	text := volcano.DefaultConfiguration()
	if path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("--scheduler-conf: %w", err)
		}
		text = string(content)
	}
	warnings, err := volcano.CheckConfiguration(text)
	for _, w := range warnings {
		klog.Background().Info("Scheduler configuration", "path", path, "warning", w)
	}
	if err != nil {
		return fmt.Errorf("--scheduler-conf %s: %w", path, err)
	}
	return nil
}

// newClient makes the client that binds. Its time limit travels to the API server with each request,
// so that none takes effect after the Binder has given it up.
func newClient(opt *options.ServerOption, timeout time.Duration) (kubernetes.Interface, error) {
	config, err := kube.BuildConfig(opt.KubeClientOptions)
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	config = rest.AddUserAgent(config, component)
	config.Timeout = timeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	return client, nil
}

func newRecorder(client kubernetes.Interface) (record.EventRecorder, func()) {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&corev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme.Scheme, v1.EventSource{Component: component}), broadcaster.Shutdown
}

// serve answers at address until ctx ends.
func serve(ctx context.Context, address string, handler http.Handler) error {
	if address == "" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--basalt-listen-address: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "Ledger is no longer served", "address", address)
		}
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}
