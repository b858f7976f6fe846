package fit

import "math/bits"

// maxLinked is the number of cards up to which the best linked set is found exactly.
const maxLinked = 16

// half is the cards of one half of maxLinked, and halfSets the sets of them.
const (
	half     = maxLinked / 2
	halfSets = 1 << half
)

// rankBits is room for the ranks of maxLinked cards below a sum of links: together they are one number,
// in which links weigh more than any ranks. The largest sum of links, of 120 pairs, leaves that room.
const rankBits = 8

// links finds best linked sets. The cards are split in two halves, and sets in the part that they have
// of each. The sum of a set is that of its parts and of the links between them; with the upper part
// given, the latter is one number for each card of the lower half. So all sets of sixteen cards are
// looked at in as many steps of a few instructions, and whole groups of them are left out when even a
// bound on their sum is too low.
//
// Bits of a part stand for cards in the order of the candidates, the first one highest: the larger
// number is the part that is liked better, and going down through the numbers meets the best liked of
// equal sets first.
type links struct {
	cards, upper, lower int
	scores              [maxLinked][maxLinked]int32
	liked               [maxLinked]int32
	upperSum, lowerSum  [halfSets]int32
	// gain is what each card of the lower half adds to an upper part, by its bit in the lower part.
	gain [halfSets][half]int32
	// lowerBest is the largest sum of a lower part with a number of cards.
	lowerBest [half + 1]int32
}

// load takes the candidates over, with their ranks where those decide between sets that are linked
// alike. Precondition: there are at most maxLinked.
func (l *links) load(n *Node, list []ranked, withRanks bool) {
	scale := 0
	if withRanks {
		scale = rankBits
		for i := range list {
			l.liked[i] = max(maxLinked-1-list[i].rank, 0)
		}
	}
	l.cards = len(list)
	l.upper = l.cards / 2
	l.lower = l.cards - l.upper
	for i := range list {
		for k := range i {
			s := int32(n.link(list[i].place, list[k].place)) << scale
			l.scores[i][k], l.scores[k][i] = s, s
		}
	}
	l.sums(0, l.upper, &l.upperSum)
	l.sums(l.upper, l.lower, &l.lowerSum)
	for part := 1; part < 1<<l.lower; part++ {
		k := bits.OnesCount(uint(part))
		l.lowerBest[k] = max(l.lowerBest[k], l.lowerSum[part])
	}
	for part := 1; part < 1<<l.upper; part++ {
		bit := bits.TrailingZeros(uint(part))
		card := l.upper - 1 - bit
		rest := &l.gain[part&(part-1)]
		for b := range l.lower {
			l.gain[part][b] = rest[b] + l.scores[card][l.cards-1-b]
		}
	}
}

// sums fills in the sum of links of every part of the count cards from first on.
func (l *links) sums(first, count int, into *[halfSets]int32) {
	for part := 1; part < 1<<count; part++ {
		rest := part & (part - 1)
		card := first + count - 1 - bits.TrailingZeros(uint(part))
		sum := into[rest] + l.liked[card]
		for left := rest; left != 0; left &= left - 1 {
			sum += l.scores[card][first+count-1-bits.TrailingZeros(uint(left))]
		}
		into[part] = sum
	}
}

// best returns the set of count cards with the largest sum, as bits by position, and that sum.
// Precondition: count is at least one and at most the number of cards.
func (l *links) best(count int) (set uint32, sum int32) {
	var greedy [maxLinked + 1]int32
	l.greedy(-1, &greedy)
	l.walk(count, floors{all: greedy[count] - 1}, func(upper, lower int, s int32) floors {
		sum, set = s, l.positions(upper, lower)
		return floors{all: sum}
	})
	return set, sum
}

// greedy fills in the sums of the sets that grow from the card with the most links by the one that adds
// most, leaving one card out. They are what a walk has to beat: the better the floor that it starts with,
// the less it looks at.
func (l *links) greedy(without int, sums *[maxLinked + 1]int32) {
	var gains [maxLinked]int32
	for i := range l.cards {
		for k := range l.cards {
			gains[i] += l.scores[i][k]
		}
	}
	taken := uint32(0)
	if without >= 0 {
		taken = 1 << without
	}
	for count := 1; count <= l.cards && taken != 1<<l.cards-1; count++ {
		next := -1
		for i, g := range gains[:l.cards] {
			if taken&(1<<i) == 0 && (next < 0 || g > gains[next]) {
				next = i
			}
		}
		taken |= 1 << next
		if count == 1 {
			gains = l.liked
		}
		sums[count] = sums[count-1] + gains[next]
		for i := range l.cards {
			gains[i] += l.scores[next][i]
		}
	}
}

// positions turns the parts of a set into bits: bit i for candidate i.
func (l *links) positions(upper, lower int) uint32 {
	return bits.Reverse32(uint32(upper<<l.lower|lower)) >> (32 - l.cards)
}

// floors says from where on sets are of interest: those that have the weak card when they are above
// with, all others when they are above all. Without it one card that every good set has would make every
// set worth a look.
type floors struct {
	all, with    int32
	upper, lower int // bits of the weak card in the parts
}

// walk visits every set of count cards that is of interest, best liked first. Each visit says what is of
// interest from there on; floors may only rise.
func (l *links) walk(count int, f floors, visit func(upper, lower int, sum int32) floors) {
	for upper := 1<<l.upper - 1; upper >= 0; upper-- {
		rest := count - bits.OnesCount(uint(upper))
		if rest < 0 || rest > l.lower {
			continue
		}
		gain := &l.gain[upper]
		most := int32(0)
		for _, g := range gain[:l.lower] {
			most = max(most, g)
		}
		base := l.upperSum[upper]
		if base+l.lowerBest[rest]+int32(rest)*most <= f.of(upper, 0) {
			continue
		}
		var low, high [1 << (half / 2)]int32
		nibbles(gain[:half/2], &low)
		nibbles(gain[half/2:], &high)
		for _, part := range partsOf[rest] {
			if int(part) >= 1<<l.lower {
				continue
			}
			sum := base + l.lowerSum[part] + low[part&(1<<(half/2)-1)] + high[part>>(half/2)]
			if sum > f.all && sum > f.of(upper, int(part)) {
				f = visit(upper, int(part), sum)
			}
		}
	}
}

// of returns the floor for the sets with these parts.
func (f *floors) of(upper, lower int) int32 {
	if upper&f.upper|lower&f.lower != 0 {
		return f.with
	}
	return f.all
}

// nibbles fills in the sum of gains for every set of four cards.
func nibbles(gain []int32, into *[1 << (half / 2)]int32) {
	for s := 1; s < len(into); s++ {
		into[s] = into[s&(s-1)] + gain[bits.TrailingZeros(uint(s))]
	}
}

// partsOf lists the parts of a half by their number of cards, best liked first.
var partsOf = func() (lists [half + 1][]uint8) {
	for part := halfSets - 1; part >= 0; part-- {
		k := bits.OnesCount(uint(part))
		lists[k] = append(lists[k], uint8(part))
	}
	return lists
}()

// losses returns the sum of the best sets of two, four and eight cards, and by position how much of it is
// lost without each card. Those are the sizes in which jobs ask for linked cards. A set of all cards is
// lost with any of them.
func (l *links) losses() (best int32, losses [maxLinked]int32) {
	var greedy [maxLinked][maxLinked + 1]int32
	for i := range l.cards {
		l.greedy(i, &greedy[i])
	}
	for count := 2; count <= l.cards; count *= 2 {
		var without [maxLinked]int32
		for i := range l.cards {
			without[i] = greedy[i][count]
		}
		top := l.bestWithout(count, &without)
		best += top
		for i := range l.cards {
			losses[i] += top - without[i]
		}
	}
	return best, losses
}

// bestWithout raises, for each card, what is known of the largest sum of a set of count cards that it is
// not in, and returns the largest of all sets. All are found in one walk.
func (l *links) bestWithout(count int, without *[maxLinked]int32) (top int32) {
	if count == l.cards {
		_, top = l.best(count)
		return top
	}
	for _, v := range without[:l.cards] {
		top = max(top, v)
	}
	f, open := l.floorsOf(without, top)
	l.walk(count, f, func(upper, lower int, sum int32) floors {
		in, left := l.positions(upper, lower), open
		if sum > top {
			top, left = sum, 1<<l.cards-1
		}
		changed := false
		for left &^= in; left != 0; left &= left - 1 {
			if i := bits.TrailingZeros32(left); without[i] < sum {
				without[i], changed = sum, true
			}
		}
		if changed {
			f, open = l.floorsOf(without, top)
		}
		return f
	})
	return top
}

// floorsOf returns from where on a set could still raise one of the values, and which cards have a value
// below the top. The weak card is the one with the least.
func (l *links) floorsOf(without *[maxLinked]int32, top int32) (f floors, open uint32) {
	weak := 0
	f.all, f.with = top, top
	for i, v := range without[:l.cards] {
		if v < top {
			open |= 1 << i
		}
		if v < f.all {
			f.with, f.all, weak = f.all, v, i
		} else {
			f.with = min(f.with, v)
		}
	}
	if weak < l.upper {
		f.upper = 1 << (l.upper - 1 - weak)
	} else {
		f.lower = 1 << (l.cards - 1 - weak)
	}
	return f, open
}
