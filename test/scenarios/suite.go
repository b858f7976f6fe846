package scenarios

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// RunAll carries out the whole table.
func RunAll(t *testing.T, r Runner) {
	t.Helper()
	eachRow(t, func(t *testing.T, row *Row) { Run(t, r, row, 0) })
}

// Shuffles bounds the shuffled runs of a table.
type Shuffles struct {
	// Runs of each row.
	Runs int
	// Budget ends the runs early; zero does not.
	Budget time.Duration
}

// RunShuffled carries out every row again and again, each time with all that has no order in another
// order, and wants one answer: the very cards and reasons of the first run. It logs how many runs the
// budget allowed.
func RunShuffled(t *testing.T, r Runner, s Shuffles) {
	t.Helper()
	start := time.Now()
	answers := map[string]Answer{}
	runs := 0
	for ; runs < s.Runs && (s.Budget == 0 || time.Since(start) < s.Budget); runs++ {
		eachRow(t, func(t *testing.T, row *Row) {
			if row.Skip[r.Name()] != "" {
				return
			}
			got := Run(t, r, row, int64(runs+1))
			if first, ok := answers[row.Name]; !ok {
				answers[row.Name] = got
			} else if diff := cmp.Diff(first, got); diff != "" {
				t.Errorf("shuffled run %d gives another answer (-first,+this):\n%s", runs+1, diff)
			}
		})
		if t.Failed() {
			break
		}
	}
	t.Logf("runner %s: %d shuffled runs of %d rows in %s", r.Name(), runs, len(answers), time.Since(start).Round(time.Millisecond))
	if runs == 0 {
		t.Error("the budget allowed no run")
	}
}

func eachRow(t *testing.T, run func(*testing.T, *Row)) {
	t.Helper()
	topics, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		for i := range topic.Rows {
			t.Run(topic.Name+"/"+topic.Rows[i].Name, func(t *testing.T) { run(t, &topic.Rows[i]) })
		}
	}
}
