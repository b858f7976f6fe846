// Command basalt-device-plugin is Basalt's node agent.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/basalt-gpu/basalt/deviceplugin/nvidia"
	"github.com/basalt-gpu/basalt/deviceplugin/server"
)

// The agent talks to the API server when pods start and nodes change; a burst of a full node of pods
// must not wait for the client's own limiter.
const (
	clientQPS   = 50
	clientBurst = 100
)

func main() {
	os.Exit(cli.Run(newCommand()))
}

func newCommand() *cobra.Command {
	o := server.Defaults()
	o.NodeName = os.Getenv("NODE_NAME")
	kubeconfig := ""
	logging := logsapi.NewLoggingConfiguration()
	cmd := &cobra.Command{
		Use:           "basalt-device-plugin",
		Short:         "Hands each container of a node exactly its slice of the node's cards",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true, // cli.Run prints the error
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := logsapi.ValidateAndApply(logging, nil); err != nil {
				return err
			}
			logs.InitLogs()
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return run(ctx, o, kubeconfig)
		},
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: the pod's own service account)")
	logsapi.AddFlags(logging, cmd.Flags())
	return cmd
}

func run(ctx context.Context, o server.Options, kubeconfig string) error {
	if errs := o.Validate(); len(errs) > 0 {
		return errs.ToAggregate()
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS, config.Burst = clientQPS, clientBurst
	config.UserAgent = "basalt-device-plugin"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("build client: %w", err)
	}
	backend, err := nvidia.Open(ctx, nvidia.Options{
		DriverRoot:    o.DriverRoot,
		DevRoot:       o.DevRoot,
		SplitCount:    o.SplitCount,
		MemoryScaling: o.MemoryScaling,
		CoreScaling:   o.CoreScaling,
		Clock:         clock.RealClock{},
	})
	if err != nil {
		return err
	}
	defer backend.Close()
	s, err := server.New(ctx, o, client, backend)
	if err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Starting", "node", o.NodeName, "cards", len(backend.Cards()))
	return s.Run(ctx)
}
