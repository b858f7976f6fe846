package main

import (
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// seconds is a time since the start of a trace, or a span of it.
type seconds float64

// job is one job of a trace.
type job struct {
	id       string
	cards    int
	submit   seconds
	duration seconds
}

// trace says how to read one file of philly-derived-jobs.
type trace struct {
	name string
	file string
	unit seconds // of submit_time and duration
}

// The Chronus file does not say its unit of time; its authors' code counts 60 to the hour.
var traces = []trace{
	{name: "trace1", file: "muri_trace1.csv.gz", unit: 1e-3},
	{name: "trace2", file: "muri_trace2.csv.gz", unit: 1e-3},
	{name: "trace3", file: "muri_trace3.csv.gz", unit: 1e-3},
	{name: "trace4", file: "muri_trace4.csv.gz", unit: 1e-3},
	{name: "mix1", file: "chronus_philly_mix1.csv.gz", unit: 60},
}

// read returns the jobs of the trace by time of arrival. Jobs without cards are dropped.
func (t trace) read(dir string) ([]job, error) {
	path := filepath.Join(dir, t.file)
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("trace %s: %w", t.name, err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	jobs, err := t.parse(plain)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return jobs, nil
}

func (t trace) parse(r io.Reader) ([]job, error) {
	rows := csv.NewReader(r)
	header, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	var jobs []job
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		j, err := t.job(header, row)
		if err != nil {
			line, _ := rows.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if j.cards > 0 {
			jobs = append(jobs, j)
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(a.submit, b.submit) })
	return jobs, nil
}

func (t trace) job(header, row []string) (job, error) {
	field := func(name string) (string, error) {
		i := slices.Index(header, name)
		if i < 0 {
			return "", fmt.Errorf("no column %s", name)
		}
		return row[i], nil
	}
	number := func(name string) (float64, error) {
		text, err := field(name)
		if err != nil {
			return 0, err
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || v < 0 {
			return 0, fmt.Errorf("%s: %q is no number of zero or more", name, text)
		}
		return v, nil
	}
	id, idErr := field("job_id")
	cards, cardsErr := number("num_gpu")
	submit, submitErr := number("submit_time")
	duration, durationErr := number("duration")
	return job{id: id, cards: int(cards), submit: seconds(submit) * t.unit, duration: seconds(duration) * t.unit},
		errors.Join(idErr, cardsErr, submitErr, durationErr)
}
