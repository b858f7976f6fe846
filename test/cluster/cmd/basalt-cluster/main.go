// Command basalt-cluster runs the embedded test cluster: a real control plane and a real node in one
// network namespace of this machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "basalt-cluster:", err)
		os.Exit(1)
	}
}
