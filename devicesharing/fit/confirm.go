package fit

import (
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/score"
)

// Chosen is a card that was chosen for a container before, by UUID: cards may have moved since.
type Chosen struct {
	// Container is its place in the request.
	Container int
	UUID      string
}

// Confirm appends an earlier choice for all containers of a request to dst if it still fits, and reports
// whether it does.
func (n *Node) Confirm(b Book, r *request.Pod, chosen []Chosen, dst []Choice) ([]Choice, bool) {
	if r == nil {
		return dst, false
	}
	s := searches.Get().(*search)
	defer s.release()
	s.prepare(n, b, r)
	s.begin(score.CardDefault, false)
	for _, c := range chosen {
		card := n.find(c.UUID)
		if card < 0 || c.Container >= len(r.Containers) || s.has(c.Container, card) ||
			!s.open(&n.Cards[card]) || !s.admits(c.Container, card) {
			return dst, false
		}
		s.put(c.Container, card)
	}
	for i := range r.Containers {
		if s.count(i) != r.Containers[i].Count {
			return dst, false
		}
	}
	return append(dst, s.chosen...), true
}

// find returns the place of a registered card, -1 if there is none.
func (n *Node) find(uuid string) int {
	for i := range n.Cards {
		if n.Cards[i].UUID == uuid && !n.Cards[i].Gone {
			return i
		}
	}
	return -1
}

// has reports whether the container has the card already.
func (s *search) has(container, card int) bool {
	for i := range s.chosen {
		if s.chosen[i].Container == container && s.chosen[i].Card == card {
			return true
		}
	}
	return false
}

// count returns how many cards the container has.
func (s *search) count(container int) int {
	count := 0
	for i := range s.chosen {
		if s.chosen[i].Container == container {
			count++
		}
	}
	return count
}
