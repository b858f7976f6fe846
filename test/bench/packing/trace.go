package main

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/basalt-gpu/basalt/devicesharing/device"
	"github.com/basalt-gpu/basalt/devicesharing/fit"
	"github.com/basalt-gpu/basalt/devicesharing/packing"
	"github.com/basalt-gpu/basalt/devicesharing/request"
)

// A card of the trace is worth 1000 milli-GPU. Here it has as many MiB of memory, so that a pod's part
// of a card is its memory; it has no cores to sell, and more shares than pods that could divide it.
const (
	cardMilli   = 1000
	podsPerNode = 1001
)

// pod is one row of a pod list.
type pod struct {
	name      string
	milliCPU  int64
	memoryMiB int64
	count     int
	milli     int // of each card
	models    string
}

// cards returns what the pod asks, in thousandths of a card.
func (p *pod) cards() int { return p.count * p.milli }

// shape returns what the pod asks as the scheduler knows it.
func (p *pod) shape() packing.Shape {
	s := packing.Shape{Resources: packing.Resources{MilliCPU: p.milliCPU, Memory: p.memoryMiB << 20, Pods: 1}}
	if p.count > 0 {
		s.Request = &request.Pod{Containers: []request.Container{{
			Name: "main", Kind: request.App, Count: p.count, Memory: device.MiB(p.milli), Priority: request.PriorityUnset,
		}}}
		if p.models != "" {
			s.Request.Selector.UseTypes = strings.Split(p.models, "|")
		}
	}
	return s
}

// table reads a CSV file, plain or gzip, and returns a function that gives the named columns of a row.
type table struct {
	path    string
	columns map[string]int
	rows    [][]string
}

func readTable(path string) (t *table, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := io.Reader(bufio.NewReader(file))
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(in); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	r := csv.NewReader(in)
	r.ReuseRecord = false
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(rows) < 2 {
		return nil, fmt.Errorf("read %s: no rows", path)
	}
	t = &table{path: path, columns: map[string]int{}, rows: rows[1:]}
	for i, name := range rows[0] {
		t.columns[name] = i
	}
	return t, nil
}

// require refuses a table without the columns.
func (t *table) require(columns ...string) error {
	for _, c := range columns {
		if _, known := t.columns[c]; !known {
			return fmt.Errorf("read %s: no column %q", t.path, c)
		}
	}
	return nil
}

// text returns a cell, empty where the table has no such column.
func (t *table) text(row int, column string) string {
	if i, known := t.columns[column]; known {
		return t.rows[row][i]
	}
	return ""
}

func (t *table) number(row int, column string, err *error) int64 {
	n, e := strconv.ParseInt(t.text(row, column), 10, 64)
	if e != nil || n < 0 {
		*err = errors.Join(*err, fmt.Errorf("read %s: row %d: %s %q must be a whole number, not negative",
			t.path, row+2, column, t.text(row, column)))
	}
	return n
}

// readNodes returns the nodes of a node list by name.
func readNodes(path string) ([]packing.Node, error) {
	t, err := readTable(path)
	if err != nil {
		return nil, err
	}
	if err := t.require("sn", "cpu_milli", "memory_mib", "gpu", "model"); err != nil {
		return nil, err
	}
	var nodes []packing.Node
	for i := range t.rows {
		free := packing.Resources{
			MilliCPU: t.number(i, "cpu_milli", &err), Memory: t.number(i, "memory_mib", &err) << 20, Pods: podsPerNode,
		}
		n := packing.Node{Name: t.text(i, "sn"), Free: free, Capacity: free}
		for k := range t.number(i, "gpu", &err) {
			n.Cards.Cards = append(n.Cards.Cards, fit.Card{
				UUID: fmt.Sprintf("%s-%d", n.Name, k), Index: int(k), Model: t.text(i, "model"), Mode: device.ModeHAMiCore,
				Healthy: true, Capacity: device.Amount{Memory: cardMilli, Slots: podsPerNode},
			})
		}
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b packing.Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes, err
}

// readPods returns the pods of a pod list by name.
func readPods(path string) ([]pod, error) {
	t, err := readTable(path)
	if err != nil {
		return nil, err
	}
	if err := t.require("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"); err != nil {
		return nil, err
	}
	var pods []pod
	for i := range t.rows {
		p := pod{
			name: t.text(i, "name"), milliCPU: t.number(i, "cpu_milli", &err), memoryMiB: t.number(i, "memory_mib", &err),
			count: int(t.number(i, "num_gpu", &err)),
		}
		if p.count > 0 {
			p.milli, p.models = int(t.number(i, "gpu_milli", &err)), t.text(i, "gpu_spec")
		}
		pods = append(pods, p)
	}
	slices.SortFunc(pods, func(a, b pod) int { return strings.Compare(a.name, b.name) })
	return pods, err
}
