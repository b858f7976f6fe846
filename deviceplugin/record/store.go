package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/basalt-gpu/basalt/deviceplugin/durable"
	"github.com/basalt-gpu/basalt/devicesharing/device"
)

const suffix = ".json"

// ErrDoesNotFit is wrapped by the error of a pin that would sell a card twice.
var ErrDoesNotFit = errors.New("slice does not fit beside what is already in use on the card")

// Store keeps the records of one node.
type Store struct {
	dir string

	mu      sync.Mutex // guards records; never held during file operations
	records map[string]entry
}

// entry is a record with the state of its file. A pin that is being written already counts, so that
// two pods which start at once cannot both take the last room.
type entry struct {
	Record
	written bool
}

// Open reads the records below dir. A file that cannot be read as a record is set aside, under a name
// that says so, and returned as an error beside the store: its pod is pinned again from its
// annotation.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make record directory: %w", err)
	}
	if err := durable.SweepTemporary(dir); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	s := &Store{dir: dir, records: map[string]entry{}}
	var damaged []error
	for _, f := range files {
		uid, ok := strings.CutSuffix(f.Name(), suffix)
		if !ok {
			continue
		}
		path := filepath.Join(dir, f.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read record: %w", err)
		}
		r, err := Decode(data)
		if err == nil && r.PodUID != uid {
			err = fmt.Errorf("record of pod %s lies under the name of pod %s", r.PodUID, uid)
		}
		if err != nil {
			damaged = append(damaged, err, os.Rename(path, path+".damaged"))
			continue
		}
		s.records[uid] = entry{Record: r, written: true}
	}
	return s, errors.Join(damaged...)
}

// Get returns the record of a pod.
func (s *Store) Get(uid string) (Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.records[uid]
	return e.Record, ok && e.written
}

// UIDs returns the pods that have a record, sorted.
func (s *Store) UIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(s.records))
	for uid, e := range s.records {
		if e.written {
			out = append(out, uid)
		}
	}
	sort.Strings(out)
	return out
}

// Pin freezes r, once: a pod that has a record keeps it, and it is returned. Capacity is what may be
// sold of each card; live says whether a pod may still have containers. A pod is pinned by one
// caller at a time; different pods may be pinned at once.
func (s *Store) Pin(r Record, capacity map[string]device.Amount, live func(uid string) bool) (Record, error) {
	data, err := Encode(r)
	if err != nil {
		return Record{}, err
	}
	dead := s.dead(live)
	if old, err := s.reserve(r, capacity, dead); old != nil || err != nil {
		if err != nil {
			return Record{}, err
		}
		return *old, nil
	}
	if err := durable.WriteFile(s.path(r.PodUID), data, 0o600); err != nil {
		s.mu.Lock()
		delete(s.records, r.PodUID)
		s.mu.Unlock()
		return Record{}, fmt.Errorf("pin pod %s/%s: %w", r.Namespace, r.Name, err)
	}
	s.mu.Lock()
	s.records[r.PodUID] = entry{Record: r, written: true}
	s.mu.Unlock()
	return r, nil
}

// dead asks about every pod outside the lock, because live may look at files.
func (s *Store) dead(live func(string) bool) map[string]bool {
	out := map[string]bool{}
	for _, uid := range s.UIDs() {
		if !live(uid) {
			out[uid] = true
		}
	}
	return out
}

func (s *Store) reserve(r Record, capacity map[string]device.Amount, dead map[string]bool) (*Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.records[r.PodUID]; ok {
		if !old.written {
			return nil, fmt.Errorf("pin pod %s/%s: another call is writing its record", r.Namespace, r.Name)
		}
		return &old.Record, nil
	}
	for _, uuid := range sortedCards(r.Allocation) {
		total, ok := capacity[uuid]
		if !ok {
			return nil, fmt.Errorf("pin pod %s/%s: card %s is not on this node", r.Namespace, r.Name, uuid)
		}
		var used device.Amount
		for uid, e := range s.records {
			if !dead[uid] {
				used = used.Add(e.Peak[uuid].Amount())
			}
		}
		asked := r.Peak[uuid].Amount()
		if !used.Add(asked).Within(total) {
			return nil, fmt.Errorf("pin pod %s/%s: %w: card %s has %s, %s of it in use, the pod asks %s",
				r.Namespace, r.Name, ErrDoesNotFit, uuid, text(total), text(used), text(asked))
		}
	}
	s.records[r.PodUID] = entry{Record: r}
	return nil, nil
}

func text(a device.Amount) string {
	return fmt.Sprintf("%d MiB, %d %% cores, %d slots", a.Memory, a.Cores, a.Slots)
}

// MarkDriftReported notes that the pod's owner was told about a changed annotation, and says whether
// this call was the first.
func (s *Store) MarkDriftReported(uid string) (bool, error) {
	s.mu.Lock()
	e, ok := s.records[uid]
	first := ok && e.written && !e.DriftReported
	if first {
		e.DriftReported = true
		s.records[uid] = e
	}
	s.mu.Unlock()
	if !first {
		return false, nil
	}
	data, err := Encode(e.Record)
	if err == nil {
		err = durable.WriteFile(s.path(uid), data, 0o600)
	}
	if err != nil {
		return true, fmt.Errorf("note reported drift of pod %s: %w", uid, err)
	}
	return true, nil
}

// Remove forgets a pod.
func (s *Store) Remove(uid string) error {
	if !validUID(uid) {
		return fmt.Errorf("remove record: %q is not a pod UID", uid)
	}
	if err := durable.Remove(s.path(uid)); err != nil {
		return fmt.Errorf("remove record: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, uid)
	return nil
}

func (s *Store) path(uid string) string { return filepath.Join(s.dir, uid+suffix) }
