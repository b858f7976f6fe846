package ledger

// evictionSessions is how many session ends an eviction mark survives. The session that evicts is
// the first; one more gives the deletion time to arrive through the watch. A mark kept for ever would
// promise the cards of a pod whose eviction the API server refused.
const evictionSessions = 2

// Evicting moves the capacity of a victim out of the future book: others may wait for it. The mark
// ends with Restore, or when the session after this one has ended and the pod is still not seen to be
// deleted.
func (l *Ledger) Evicting(uid string) {
	l.setMark(uid, evictionSessions)
}

// Restore undoes Evicting. Holds that already wait for the capacity stay, and the card shows as
// over-committed in the future book until they are released.
func (l *Ledger) Restore(uid string) {
	l.setMark(uid, 0)
}

func (l *Ledger) setMark(uid string, sessions uint8) {
	p := l.podShard(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[uid]; e != nil {
		l.mark(p, e, sessions)
	}
}

// mark sets or removes the mark of an eviction. Holds are released, not evicted, and what is being
// released is out of the future book already. Precondition: p.mu is held for writing.
func (l *Ledger) mark(p *podShard, e *entry, sessions uint8) {
	if e.evicting == sessions || e.state == codeHeld || e.state == codeReleasing {
		return
	}
	s := l.nodeShard(e.node.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.discharge()
	e.evicting = sessions
	e.charge()
	if sessions == 0 {
		p.leave(e)
	} else {
		p.enter(e)
	}
}

// EndSession drops holds that were never promoted, lets the reserved ones wait on, and ages the marks of
// evictions.
func (l *Ledger) EndSession() {
	for i := range l.pods {
		p := &l.pods[i]
		p.mu.Lock()
		// Backwards: what leaves the list is replaced by an entry that has had its turn.
		for k := len(p.open) - 1; k >= 0; k-- {
			e := p.open[k]
			switch {
			case e.state == codeHeld && p.waiting(e.uid):
				l.wait(p, e)
			case e.state == codeHeld:
				l.drop(p, e)
			case e.evicting > 0:
				l.mark(p, e, e.evicting-1)
			}
		}
		p.mu.Unlock()
	}
}
