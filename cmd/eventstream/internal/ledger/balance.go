package ledger

import "strings"

// sums adds up amounts by commodity and lot, in the order in which they appear.
type sums struct {
	order []string
	of    map[string]*sum
}

type sum struct {
	amount
	lot *lot
}

func (s *sums) add(a amount, l *lot) {
	key := a.commodity + "\x00" + l.key()
	if s.of == nil {
		s.of = map[string]*sum{}
	}
	have := s.of[key]
	if have == nil {
		have = &sum{amount: amount{commodity: a.commodity}, lot: l}
		s.of[key] = have
		s.order = append(s.order, key)
	}
	have.number = have.number.Add(a.number)
}

// nonZero returns the sums that are not exactly zero.
func (s *sums) nonZero() []*sum {
	var rest []*sum
	for _, key := range s.order {
		if !s.of[key].number.IsZero() {
			rest = append(rest, s.of[key])
		}
	}
	return rest
}

// balance fills in the amounts that were left out, and checks that the real postings
// sum to zero, and so do the balanced virtual ones.
func (j *journal) balance(t *transaction) *fault {
	if bad := j.useBucket(t); bad != nil {
		return bad
	}
	for _, kind := range []string{"", balancedVirtual} {
		if bad := j.balanceGroup(t, kind); bad != nil {
			return bad
		}
	}
	for _, p := range t.postings {
		if p.amount == nil {
			return &fault{p.line, "amount", "a virtual posting that stands outside the balance needs an amount"}
		}
	}
	return nil
}

// useBucket balances a transaction of a single posting by the default account.
func (j *journal) useBucket(t *transaction) *fault {
	if len(t.postings) == 0 {
		return &fault{t.line, "transaction", "has no postings"}
	}
	first := t.postings[0]
	if j.bucket != "" && len(t.postings) == 1 && first.kind == "" && first.amount != nil {
		t.postings = append(t.postings, &posting{line: t.line, account: j.bucket, state: first.state, date: t.date, auxDate: t.auxDate})
	}
	return nil
}

func (j *journal) balanceGroup(t *transaction, kind string) *fault {
	var group []*posting
	var elided *posting
	for _, p := range t.postings {
		switch {
		case p.kind != kind:
		case p.amount != nil:
			group = append(group, p)
		case elided != nil:
			return &fault{
				p.line, "amount",
				"is the second that is left out: one can follow from the rest (two blanks or a tab must stand between an account and its amount)",
			}
		default:
			elided = p
		}
	}
	if elided != nil {
		return fill(t, elided, group)
	}
	if j.balances(group) {
		return nil
	}
	rest := valued(group, keepLots, nil).nonZero()
	var texts []string
	for _, s := range rest {
		texts = append(texts, s.String())
	}
	what := "the transaction does"
	if kind != "" {
		what = "the postings in [brackets] do"
	}
	return &fault{t.line, "balance", what + " not balance: " + strings.Join(texts, " and ") + " remain"}
}

// fill gives the posting that was left out what balances the others: one amount for
// each commodity, the first in the posting itself, the others in postings like it.
func fill(t *transaction, elided *posting, group []*posting) *fault {
	all := valued(group, keepLots, nil)
	if len(all.order) == 0 {
		return &fault{elided.line, "amount", "there is none that it could follow from"}
	}
	rest := all.nonZero()
	if len(rest) == 0 {
		rest = []*sum{all.of[all.order[0]]}
	}
	elided.elided = true
	var more []*posting
	for i, s := range rest {
		p := elided
		if i > 0 {
			c := *elided
			p = &c
			more = append(more, p)
		}
		a := s.neg()
		p.amount, p.lot = &a, s.lot
	}
	for i, p := range t.postings {
		if p == elided {
			t.postings = append(t.postings[:i+1:i+1], append(more, t.postings[i+1:]...)...)
			break
		}
	}
	return nil
}

// lotRule says what a lot's price does.
type lotRule int

const (
	keepLots  lotRule = 1 // lots of different prices are different things
	valueLots lotRule = 2 // a lot counts as what it cost
)

// valued sums up what the postings of a group weigh in the balance: the price if one is
// given, but what the lot cost if it is sold at another price in the same commodity,
// since the difference is a gain or a loss; else the amount itself. round, if it is
// given, is applied to each price per unit times amount.
func valued(group []*posting, rule lotRule, round func(amount, *price) amount) *sums {
	all := &sums{}
	for _, p := range group {
		switch basis := p.basis(); {
		case basis != nil && (rule == valueLots || p.price != nil && p.price.commodity == basis.commodity):
			all.add(*basis, nil)
		case p.price != nil && round != nil && !p.price.total:
			all.add(round(p.price.of(*p.amount), p.price), nil)
		case p.price != nil:
			all.add(p.price.of(*p.amount), nil)
		default:
			all.add(*p.amount, p.lot)
		}
	}
	return all
}

// basis is what the lot cost, nil if that is not known.
func (p *posting) basis() *amount {
	if p.lot == nil || p.lot.price == nil {
		return nil
	}
	cost := p.lot.price.of(*p.amount)
	return &cost
}

// balances reports whether a group sums to zero as ledger sees it.
func (j *journal) balances(group []*posting) bool {
	whole := func(s *sums) bool {
		for _, rest := range s.nonZero() {
			if !j.commodities.negligible(rest.commodity, rest.number) {
				return false
			}
		}
		return true
	}
	plain := valued(group, keepLots, nil)
	if whole(plain) || whole(valued(group, valueLots, nil)) {
		return true
	}
	// 0.5 @ 3.99 may have been settled as 2.00.
	if whole(valued(group, keepLots, func(cost amount, p *price) amount {
		return amount{cost.number.Round(p.number.Scale()), cost.commodity}
	})) {
		return true
	}
	return j.exchanges(group, plain.nonZero())
}

// exchanges reports whether a group changes one commodity for another without saying at
// which price: the price follows.
func (j *journal) exchanges(group []*posting, rest []*sum) bool {
	if len(rest) != 2 || rest[0].number.Sign() == rest[1].number.Sign() {
		return false
	}
	for _, p := range group {
		if p.price != nil {
			return false
		}
	}
	for i, s := range rest {
		other := rest[1-i]
		if s.lot == nil || s.lot.price == nil {
			continue
		}
		// What the lot cost is known: it cannot be sold at another price without a
		// posting of the gain, nor for something of its own kind.
		bothLots := other.lot != nil && other.lot.price != nil
		if s.lot.price.commodity == other.commodity || s.commodity == other.commodity && !bothLots {
			return false
		}
	}
	return true
}
