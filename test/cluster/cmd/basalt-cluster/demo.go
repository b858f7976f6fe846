package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/basalt-gpu/basalt/test/cluster"
	"github.com/basalt-gpu/basalt/test/cluster/internal/demo"
)

func demoCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Bring the cluster up, submit examples/vcjob-vgpu.yaml and show the result",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runner, err := s.runner()
			if err != nil {
				return err
			}
			if err := runner.Up(cmd.Context()); err != nil {
				return err
			}
			c, err := cluster.Open()
			if err != nil {
				return err
			}
			defer c.Close()
			return demo.Run(cmd.Context(), c, runner.Repo, os.Stdout)
		},
	}
}
