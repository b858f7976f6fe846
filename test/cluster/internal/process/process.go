// Package process starts and ends the cluster's daemons and remembers them in record files, so that
// a later run of the command, or a test, can find them again. A process is identified by pid, start
// time and boot: a pid alone may belong to somebody else by the time it is used.
package process

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/basalt-gpu/basalt/test/cluster/internal/netns"
)

// Spec says how a daemon is started. All daemons run in the cluster's network namespace.
type Spec struct {
	Name   string   `json:"name"`
	Binary string   `json:"binary"`
	Args   []string `json:"args"`
	Env    []string `json:"env,omitempty"`
	Log    string   `json:"log"`
	// Inputs are files whose change calls for a restart: configuration that is read once, and a
	// binary whose path does not name its content.
	Inputs []string `json:"inputs,omitempty"`
}

// Record is a Spec together with the process that was started from it.
type Record struct {
	Spec
	// Extra arguments of this one start; the next plain start is without them.
	Extra []string `json:"extra,omitempty"`
	// Digest covers the inputs as they were at the start.
	Digest    string `json:"digest,omitempty"`
	PID       int    `json:"pid,omitempty"`
	StartTime uint64 `json:"startTime,omitempty"`
	BootID    string `json:"bootID,omitempty"`
}

// ErrNotRunning is returned when a signal finds no process.
var ErrNotRunning = errors.New("not running")

// Load reads a record.
func Load(path string) (Record, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Record{}, fmt.Errorf("read process record: %w", err)
	}
	var r Record
	if err := json.Unmarshal(raw, &r); err != nil {
		return Record{}, fmt.Errorf("decode process record %s: %w", path, err)
	}
	return r, nil
}

// Save writes a record whole or not at all.
func (r Record) Save(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode process record %s: %w", r.Name, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make record directory: %w", err)
	}
	if err := os.WriteFile(path+".tmp", raw, 0o644); err != nil {
		return fmt.Errorf("write process record: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("publish process record: %w", err)
	}
	return nil
}

// Alive says whether the recorded process still runs. A zombie does not.
func (r Record) Alive() bool {
	if r.PID == 0 || r.BootID != bootID() {
		return false
	}
	start, state, err := stat(r.PID)
	return err == nil && start == r.StartTime && state != 'Z' && state != 'X'
}

// Current says whether the process runs what the spec says now, from the same inputs.
func (r Record) Current(spec Spec) bool {
	digest, err := spec.digest()
	return err == nil && r.Alive() && r.Digest == digest && len(r.Extra) == 0 &&
		r.Binary == spec.Binary && slices.Equal(r.Args, spec.Args) && slices.Equal(r.Env, spec.Env)
}

// Start starts the daemon and saves its record at path. It outlives the caller.
func Start(spec Spec, extra []string, path string) (Record, error) {
	digest, err := spec.digest()
	if err != nil {
		return Record{}, err
	}
	if err := os.MkdirAll(filepath.Dir(spec.Log), 0o755); err != nil {
		return Record{}, fmt.Errorf("make log directory: %w", err)
	}
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return Record{}, fmt.Errorf("open log of %s: %w", spec.Name, err)
	}
	defer log.Close()
	args := append(slices.Clone(spec.Args), extra...)
	fmt.Fprintf(log, "\n==== %s: %s %s\n", time.Now().UTC().Format(time.RFC3339), spec.Binary, strings.Join(args, " "))

	cmd := exec.Command(spec.Binary, args...)
	cmd.Env = spec.Env
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := netns.Do(cmd.Start); err != nil {
		return Record{}, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	start, _, err := stat(cmd.Process.Pid)
	// Waiting keeps a daemon that ends before its starter from staying a zombie; its exit is seen
	// through its record by whoever asks.
	go func() { _ = cmd.Wait() }()
	if err != nil {
		return Record{}, fmt.Errorf("%s ended at once, see %s", spec.Name, spec.Log)
	}
	r := Record{Spec: spec, Extra: extra, Digest: digest, PID: cmd.Process.Pid, StartTime: start, BootID: bootID()}
	return r, r.Save(path)
}

// Signal sends a signal to exactly the recorded process.
func (r Record) Signal(signal syscall.Signal) error {
	fd, err := r.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil {
		return fmt.Errorf("send %s to %s: %w", signal, r.Name, err)
	}
	return nil
}

// Stop ends the process: it asks, waits up to grace, then kills. A process that is gone is fine.
func (r Record) Stop(grace time.Duration) error {
	fd, err := r.open()
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, grace}, {syscall.SIGKILL, 10 * time.Second}} {
		if err := unix.PidfdSendSignal(fd, step.signal, nil, 0); errors.Is(err, unix.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("send %s to %s: %w", step.signal, r.Name, err)
		}
		if gone(fd, step.wait) {
			return nil
		}
	}
	return fmt.Errorf("%s (pid %d) outlives SIGKILL", r.Name, r.PID)
}

// WaitGone waits until the process has ended.
func (r Record) WaitGone(timeout time.Duration) bool {
	fd, err := r.open()
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	return gone(fd, timeout)
}

// open returns a pidfd of exactly the recorded process: the start time is compared after the handle
// is taken, so the pid cannot change hands in between.
func (r Record) open() (int, error) {
	if r.PID <= 0 {
		return -1, fmt.Errorf("%s: %w", r.Name, ErrNotRunning)
	}
	fd, err := unix.PidfdOpen(r.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, fmt.Errorf("%s: %w", r.Name, ErrNotRunning)
	}
	if err != nil {
		return -1, fmt.Errorf("open pid %d of %s: %w", r.PID, r.Name, err)
	}
	if !r.Alive() {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", r.Name, ErrNotRunning)
	}
	return fd, nil
}

func gone(fd int, timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	for {
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if errors.Is(err, unix.EINTR) && left > 0 {
			continue
		}
		return n > 0
	}
}

// stat reads start time (in clock ticks since boot) and state of a process.
func stat(pid int) (start uint64, state byte, err error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, fmt.Errorf("read stat of pid %d: %w", pid, err)
	}
	return parseStat(string(raw))
}

// parseStat looks behind the last parenthesis: the command name may hold spaces and parentheses.
func parseStat(text string) (start uint64, state byte, err error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const stateField, startField = 0, 19
	if len(fields) <= startField {
		return 0, 0, fmt.Errorf("stat line %q has %d fields after the name, want more than %d", text, len(fields), startField)
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("start time %q: %w", fields[startField], err)
	}
	return start, fields[stateField][0], nil
}

func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(raw))
}

func (s Spec) digest() (string, error) {
	sum := sha256.New()
	for _, path := range s.Inputs {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("digest inputs of %s: %w", s.Name, err)
		}
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return "", fmt.Errorf("digest inputs of %s: %w", s.Name, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
