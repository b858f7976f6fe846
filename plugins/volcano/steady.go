package volcano

import (
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/basalt-gpu/basalt/devicesharing/fit"
)

// steadyFor is how long the numbers of a shortage stay as they were first told.
const steadyFor = 30 * time.Second

// steadyTexts keeps what pods are told from changing in every session: Volcano writes a status and an
// event whenever a message changes, and on a busy cluster the numbers do so every second, for every
// pending pod.
type steadyTexts struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	now, old map[string]steadyText // guarded by mu; by kindOf
}

type steadyText struct {
	reason fit.Reason
	text   string
	until  time.Time
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

// of returns the text of a shortage, or that of an earlier one with the same reason.
func (s *steadyTexts) of(kind string, found shortage) string {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.now[kind]
	if !ok {
		known, ok = s.old[kind]
	}
	if !ok || known.reason != found.verdict.Reason || !now.Before(known.until) {
		known = steadyText{reason: found.verdict.Reason, text: found.String(), until: now.Add(steadyFor)}
	}
	s.now[kind] = known
	return known.text
}
