// Package netns runs code inside the cluster's network namespace. The whole cluster lives in one
// namespace of its own, whose only uplink is a veth pair that ends inside it: nothing that runs
// there can reach another machine, and no port of the host is taken.
package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
)

// Ensure creates the namespace with its addresses, or leaves an existing one as it is.
func Ensure() error {
	if Exists() {
		return nil
	}
	ns := layout.NetNS
	for _, args := range [][]string{
		{"netns", "add", ns},
		{"-n", ns, "link", "set", "lo", "up"},
		// Both ends stay inside: the node has an address and a default route (service addresses need
		// one before they are rewritten), and nobody answers behind it.
		{"-n", ns, "link", "add", "node0", "type", "veth", "peer", "name", "void0"},
		{"-n", ns, "link", "set", "node0", "up"},
		{"-n", ns, "link", "set", "void0", "up"},
		{"-n", ns, "addr", "add", layout.NodeIP + "/24", "dev", "node0"},
		{"-n", ns, "route", "add", "default", "via", layout.GatewayIP, "dev", "node0"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return errors.Join(fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out))), Remove())
		}
	}
	return Do(func() error {
		for key, value := range map[string]string{"ip_forward": "1", "conf/all/route_localnet": "1"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+key, []byte(value), 0o644); err != nil {
				return fmt.Errorf("set sysctl net/ipv4/%s: %w", key, err)
			}
		}
		return nil
	})
}

// Exists says whether the namespace is there.
func Exists() bool {
	_, err := os.Stat(layout.NetNSPath())
	return err == nil
}

// Remove deletes the namespace; what still runs in it keeps it alive unnamed until it ends.
func Remove() error {
	if !Exists() {
		return nil
	}
	if out, err := exec.Command("ip", "netns", "del", layout.NetNS).CombinedOutput(); err != nil {
		return fmt.Errorf("delete network namespace %s: %w: %s", layout.NetNS, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Do runs fn on a thread that is inside the namespace. Sockets and processes made by fn belong to
// it; goroutines that fn starts do not.
func Do(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		own, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			result <- fmt.Errorf("open own network namespace: %w", err)
			return
		}
		defer own.Close()
		target, err := os.Open(layout.NetNSPath())
		if err != nil {
			result <- fmt.Errorf("open network namespace: %w", err)
			return
		}
		defer target.Close()
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter network namespace %s: %w", layout.NetNS, err)
			return
		}
		err = fn()
		// A thread that cannot go back must not be reused: it stays locked and dies with the goroutine.
		if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// Dial connects to an address inside the namespace, from wherever the caller runs. The address must
// be numeric: a name would be resolved on threads outside.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := Do(func() error {
		dialer := net.Dialer{Timeout: 10 * time.Second}
		var err error
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
