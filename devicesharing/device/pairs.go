package device

// PairScore is how well two cards are linked: the higher the better, zero where nothing is known.
type PairScore uint16

// Links of cards of which nothing but the NUMA nodes is known: across CPUs, and under one.
const (
	PairAcrossNUMA PairScore = 10
	PairInNUMA     PairScore = 20
)

// Pairs is how well each two of a node's cards are linked, by the places of the cards. It does not
// change after it is made, so it is shared freely.
type Pairs struct {
	cards  int
	scores []PairScore // half a matrix without its diagonal, row by row
}

// MakePairs asks for the score of each two of a number of cards, the lower place first.
func MakePairs(cards int, score func(i, k int) PairScore) *Pairs {
	p := &Pairs{cards: cards, scores: make([]PairScore, 0, cards*max(cards-1, 0)/2)}
	for i := range cards {
		for k := i + 1; k < cards; k++ {
			p.scores = append(p.scores, score(i, k))
		}
	}
	return p
}

// Score returns how well two cards are linked, in either order. No card is linked to itself, nor to one
// that the pairs do not know.
func (p *Pairs) Score(i, k int) PairScore {
	if i > k {
		i, k = k, i
	}
	if p == nil || i < 0 || i == k || k >= p.cards {
		return 0
	}
	return p.scores[i*p.cards-i*(i+1)/2+k-i-1]
}

// Reordered returns the pairs of cards whose places changed: the card that is now at place i was at
// place from(i), or below zero for a card that is new.
func (p *Pairs) Reordered(cards int, from func(i int) int) *Pairs {
	if p == nil {
		return nil
	}
	return MakePairs(cards, func(i, k int) PairScore { return p.Score(from(i), from(k)) })
}
