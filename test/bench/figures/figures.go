// Package figures writes what the benchmarks measured: one JSON line per figure,
// {"name":..,"value":..,"unit":..}, on standard output and in a file. It measures nothing.
package figures

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Figure is one measured value. Names are stable: they are compared from run to run.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Writer writes figures. Its first error stays and is returned by Close.
type Writer struct {
	out  *json.Encoder
	file *os.File
	err  error
}

// Create makes the file, and its folder where that is missing, and writes what follows to it and to
// standard output.
func Create(path string) (*Writer, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("-out: %w", err)
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("-out: %w", err)
	}
	return &Writer{out: json.NewEncoder(io.MultiWriter(os.Stdout, file)), file: file}, nil
}

// Print writes one figure.
func (w *Writer) Print(name string, value float64, unit string) {
	if w.err == nil {
		w.err = w.out.Encode(Figure{name, value, unit})
	}
}

// Close closes the file.
func (w *Writer) Close() error {
	if err := w.file.Close(); err != nil && w.err == nil {
		w.err = err
	}
	return w.err
}
