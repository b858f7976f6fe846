package core

import (
	"testing"

	"github.com/basalt-gpu/basalt/test/scenarios"
)

func TestRows(t *testing.T) { scenarios.RunAll(t, Runner{}) }

func TestHundredShuffledRunsGiveOneAnswer(t *testing.T) {
	scenarios.RunShuffled(t, Runner{}, scenarios.Shuffles{Runs: 100})
}
