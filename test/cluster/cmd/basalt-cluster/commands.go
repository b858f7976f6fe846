package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/basalt-gpu/basalt/test/cluster"
	"github.com/basalt-gpu/basalt/test/cluster/internal/component"
	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/lifecycle"
	"github.com/basalt-gpu/basalt/test/cluster/internal/netns"
	"github.com/basalt-gpu/basalt/test/cluster/internal/process"
)

// settings are the flags that every command shares.
type settings struct {
	repo    string
	without []string
}

func rootCommand() *cobra.Command {
	var s settings
	root := &cobra.Command{
		Use:           "basalt-cluster",
		Short:         "Run the embedded test cluster",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&s.repo, "repo", "", "root of the clone to use (default: the clone that holds the working directory)")
	root.AddCommand(upCommand(&s), downCommand(&s), buildCommand(&s), statusCommand(), kubectlCommand(), runCommand(),
		logsCommand(), loadImagesCommand(&s), demoCommand(&s))
	for _, name := range []string{"stop", "start", "restart"} {
		root.AddCommand(componentCommand(name))
	}
	return root
}

func upCommand(s *settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the cluster up, or repair it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runner, err := s.runner()
			if err != nil {
				return err
			}
			return runner.Up(cmd.Context())
		},
	}
	cmd.Flags().StringSliceVar(&s.without, "without", nil, "components to leave out, e.g. scheduler,device-plugin")
	return cmd
}

func downCommand(s *settings) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End the cluster and remove everything of it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runner, err := s.runner()
			if err != nil {
				return err
			}
			return runner.Down(cmd.Context(), force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also remove a cluster that another clone started")
	return cmd
}

func buildCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build the cluster's binaries into the user's cache",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runner, err := s.runner()
			if err != nil {
				return err
			}
			return runner.Build(cmd.Context())
		},
	}
}

func loadImagesCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "load-images",
		Short: "Pack the container images again and import what changed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runner, err := s.runner()
			if err != nil {
				return err
			}
			return runner.LoadImages(cmd.Context())
		},
	}
}

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show which components run and are ready",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := layout.Default()
			repo, ok := lifecycle.Running(l)
			if !ok {
				fmt.Println("no cluster is up")
				return nil
			}
			fmt.Println("cluster of", repo)
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			var reasons []string
			fmt.Fprintln(w, "COMPONENT\tPID\tREADY\tLOG")
			for _, name := range layout.Components() {
				pid, ready, reason := componentStatus(cmd.Context(), l, name)
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, pid, ready, l.Log(name))
				if reason != nil {
					reasons = append(reasons, reason.Error())
				}
			}
			if err := w.Flush(); err != nil {
				return fmt.Errorf("print status: %w", err)
			}
			for _, reason := range reasons {
				fmt.Println(reason)
			}
			return nil
		},
	}
}

func componentStatus(ctx context.Context, l layout.Layout, name string) (pid, ready string, reason error) {
	record, err := process.Load(l.Component(name))
	if err != nil {
		return "-", "not started", nil
	}
	if !record.Alive() {
		return "-", "ended", nil
	}
	pid = strconv.Itoa(record.PID)
	if err := component.Ready(ctx, l, name); err != nil {
		return pid, "no", err
	}
	return pid, "yes", nil
}

func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl ...",
		Short:              "Run kubectl as the cluster's administrator",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return execInside(append([]string{filepath.Join(layout.Default().Bin(), "kubectl")}, args...))
		},
	}
}

func runCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "run COMMAND ...",
		Short:              "Run a command inside the cluster's network namespace, with KUBECONFIG set",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] == "--" {
				args = args[1:]
			}
			if len(args) == 0 {
				return errors.New("run: no command given")
			}
			path, err := exec.LookPath(args[0])
			if err != nil {
				return fmt.Errorf("run: %w", err)
			}
			return execInside(append([]string{path}, args[1:]...))
		},
	}
}

// execInside replaces this process by a command in the cluster's network namespace.
func execInside(argv []string) error {
	l := layout.Default()
	if !netns.Exists() {
		return errors.New("no cluster is up: run `basalt-cluster up`")
	}
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(strings.ToLower(entry), "=")
		return strings.HasSuffix(name, "_proxy") || name == "kubeconfig"
	})
	env = append(env, "KUBECONFIG="+l.Kubeconfig(component.Admin))
	// exec keeps the namespace of the calling thread.
	return netns.Do(func() error { return fmt.Errorf("run %s: %w", argv[0], unix.Exec(argv[0], argv, env)) })
}

func logsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:       "logs COMPONENT",
		Short:     "Show a component's log",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: layout.Components(),
		RunE: func(cmd *cobra.Command, args []string) error {
			tail := exec.CommandContext(cmd.Context(), "tail", "-n", "200", layout.Default().Log(args[0]))
			if follow {
				tail.Args = append(tail.Args, "-F")
			}
			tail.Stdout, tail.Stderr = os.Stdout, os.Stderr
			if err := tail.Run(); err != nil && cmd.Context().Err() == nil {
				return fmt.Errorf("show log of %s: %w", args[0], err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing what is added")
	return cmd
}

func componentCommand(verb string) *cobra.Command {
	return &cobra.Command{
		Use:       verb + " COMPONENT",
		Short:     strings.ToUpper(verb[:1]) + verb[1:] + " one component",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: layout.Components(),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := cluster.Open()
			if err != nil {
				return err
			}
			defer c.Close()
			switch verb {
			case "stop":
				return c.Stop(args[0])
			case "start":
				err = c.Start(args[0])
			default:
				err = c.Restart(args[0])
			}
			if err != nil {
				return err
			}
			return c.WaitReady(cmd.Context(), args[0])
		},
	}
}

// runner prepares a run for the clone at hand.
func (s *settings) runner() (*lifecycle.Runner, error) {
	repo := s.repo
	if repo == "" {
		found, err := cluster.FindRepo()
		if err != nil {
			return nil, err
		}
		repo = found
	}
	repo, err := filepath.Abs(repo)
	if err != nil {
		return nil, fmt.Errorf("resolve --repo: %w", err)
	}
	var without []string
	for _, name := range s.without {
		full := name
		if !slices.Contains(layout.Components(), full) {
			full = "basalt-" + name
		}
		if !slices.Contains(layout.Components(), full) {
			return nil, fmt.Errorf("--without %q: components are %s", name, strings.Join(layout.Components(), ", "))
		}
		without = append(without, full)
	}
	return lifecycle.New(lifecycle.Options{Layout: layout.Default(), Repo: repo, Out: os.Stdout, Without: without}), nil
}
