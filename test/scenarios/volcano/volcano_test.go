package volcano

import (
	"flag"
	"testing"
	"time"

	"github.com/basalt-gpu/basalt/test/scenarios"
)

// shuffleBudget bounds the shuffled runs where not all of them are asked for.
const shuffleBudget = time.Minute

var allShuffles = flag.Bool("all-shuffles", false, "run the table shuffled a hundred times, however long it takes")

func TestRows(t *testing.T) { scenarios.RunAll(t, Runner{}) }

func TestShuffledRunsGiveOneAnswer(t *testing.T) {
	s := scenarios.Shuffles{Runs: 100, Budget: shuffleBudget}
	if *allShuffles {
		s.Budget = 0
	}
	scenarios.RunShuffled(t, Runner{}, s)
}
