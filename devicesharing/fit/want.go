package fit

// wantBudget bounds the placements after which a search still asks anew which cards belong together.
const wantBudget = 64

// want notes which cards the policy wants together for a container, as things stand when its first card
// is chosen. A search that goes back and forth for long stays with what it wanted last.
func (s *search) want(container int) {
	if !s.policy.Topology() && !s.policy.Gathers() || s.budget < searchBudget-wantBudget {
		return
	}
	var list candidates
	for i := range s.node.Cards {
		if s.open(&s.node.Cards[i]) && s.admits(container, i) {
			list.add(s.node, i, s.liking(i))
		}
	}
	var chosen chosenSet
	s.wanted[container] = 0
	if s.node.choose(&list, s.pod.Containers[container].Count, s.policy, s.pod.Selector.NUMABind, &chosen) {
		s.wanted[container] = chosen.set()
	}
}

// liking returns how much the policy likes a card with what other containers of the pod have of it.
func (s *search) liking(i int) int64 {
	used := s.used(&s.node.Cards[i]).Add(s.loads[i*s.phases+s.phases-1].amount)
	return s.node.liking(i, used, s.pod, s.policy)
}
