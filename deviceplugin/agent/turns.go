package agent

import (
	"context"
	"fmt"
	"sync"
)

// turns lets one caller at a time work on a pod, while others work on other pods. Unlike a mutex it
// can be given up when the caller's time is over.
type turns struct {
	mu    sync.Mutex // guards taken
	taken map[string]chan struct{}
}

// take waits for the pod's turn and returns what ends it.
func (t *turns) take(ctx context.Context, uid string) (func(), error) {
	for {
		t.mu.Lock()
		busy, ok := t.taken[uid]
		if !ok {
			mine := make(chan struct{})
			t.taken[uid] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.taken, uid)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another call about pod %s: %w", uid, ctx.Err())
		}
	}
}
