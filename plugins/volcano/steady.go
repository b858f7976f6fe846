package volcano

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// steadyFor is how long the numbers of a shortage stay as they were first told.
const steadyFor = 30 * time.Second

// steadyTexts keeps what pods are told from changing in every session: Volcano writes a status and an
// event whenever a message changes, and on a busy cluster the numbers do so every second, for every
// pending pod.
type steadyTexts struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	now, old map[string]steadyText // guarded by mu
}

type steadyText struct {
	kind  string
	text  string
	until time.Time
}

func newSteadyTexts(c clock.PassiveClock) *steadyTexts {
	return &steadyTexts{clock: c, now: map[string]steadyText{}}
}

// turn starts a new session: what was not asked for in the last one is dropped.
func (s *steadyTexts) turn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.old, s.now = s.now, map[string]steadyText{}
}

// of returns what was told about a key, if it was of the same kind and not long ago, else the new text.
func (s *steadyTexts) of(key, kind string, text func() string) string {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.now[key]
	if !ok {
		known, ok = s.old[key]
	}
	if !ok || known.kind != kind || !now.Before(known.until) {
		known = steadyText{kind: kind, text: text(), until: now.Add(steadyFor)}
	}
	s.now[key] = known
	return known.text
}
