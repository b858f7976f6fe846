package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// process stands for a test in a program that is none: the harness takes a testing.TB.
type process struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
}

// failure ends a measurement.
type failure struct{ error }

// guard runs f, whose failures come back as errors, and cleans up after it.
func guard(f func(testing.TB) error) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{ctx: ctx}
	defer func() {
		cancel()
		for _, clean := range slices.Backward(p.cleanups) {
			clean()
		}
		if r := recover(); r != nil {
			failed, ours := r.(failure)
			if !ours {
				panic(r)
			}
			err = failed.error
		}
	}()
	return f(p)
}

func (p *process) Helper()                  {}
func (p *process) Cleanup(f func())         { p.cleanups = append(p.cleanups, f) }
func (p *process) Context() context.Context { return p.ctx }
func (p *process) Failed() bool             { return false }

func (p *process) Fatal(args ...any) { panic(failure{fmt.Errorf("%s", fmt.Sprint(args...))}) }

func (p *process) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// residentMB reads how much memory the process takes now, and at most took.
func residentMB() (now, peak float64, err error) {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, 0, fmt.Errorf("read own memory: %w", err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if key != "VmRSS" && key != "VmHWM" {
			continue
		}
		kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read own memory: %s: %w", key, err)
		}
		if key == "VmRSS" {
			now = kb / 1024
		} else {
			peak = kb / 1024
		}
	}
	return now, peak, nil
}
