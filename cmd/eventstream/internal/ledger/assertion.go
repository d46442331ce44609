package ledger

import (
	"maps"
	"slices"

	"github.com/nexus-erp/eventstream/projection/decimal"
)

// holdings is what every account holds of each commodity, lots put together, real
// postings and virtual ones apart. Balance assertions are held against it.
type holdings map[holder]map[string]decimal.Decimal

type holder struct {
	account string
	virtual bool
}

func holderOf(p *posting) holder { return holder{p.account, p.kind != ""} }

func (h holdings) add(p *posting) {
	held := h[holderOf(p)]
	if held == nil {
		held = map[string]decimal.Decimal{}
		h[holderOf(p)] = held
	}
	held[p.amount.commodity] = held[p.amount.commodity].Add(p.amount.number)
}

// checkBalance holds a posting's balance assertion against what the account holds, the
// posting included, or gives the posting the amount that makes the balance true. earlier
// are the transaction's postings so far. "= 0" asks for all commodities, any other
// balance for its own.
func (j *journal) checkBalance(s *scanner, p *posting, earlier []*posting) *fault {
	have := maps.Clone(j.holdings[holderOf(p)])
	if have == nil {
		have = map[string]decimal.Decimal{}
	}
	for _, e := range earlier {
		if e.amount != nil && holderOf(e) == holderOf(p) {
			have[e.amount.commodity] = have[e.amount.commodity].Add(e.amount.number)
		}
	}
	want := *p.assertion
	symbols := []string{want.commodity}
	if want.commodity == "" && want.number.IsZero() {
		symbols = slices.Sorted(maps.Keys(have))
	}
	if p.amount == nil {
		return assign(s, p, have, symbols)
	}
	have[p.amount.commodity] = have[p.amount.commodity].Add(p.amount.number)
	for _, symbol := range symbols {
		if off := want.number.Sub(have[symbol]); !j.commodities.negligible(symbol, off) {
			return s.fail("balance", "%s holds %s here, not %s", p.account, amount{have[symbol], symbol}, want)
		}
	}
	return nil
}

// assign gives a posting the amount that brings the account to its balance.
func assign(s *scanner, p *posting, have map[string]decimal.Decimal, symbols []string) *fault {
	var missing []amount
	for _, symbol := range symbols {
		if n := p.assertion.number.Sub(have[symbol]); !n.IsZero() {
			missing = append(missing, amount{n, symbol})
		}
	}
	switch len(missing) {
	case 0:
		p.amount = &amount{commodity: p.assertion.commodity}
	case 1:
		p.amount = &missing[0]
	default:
		return s.fail("balance", "%s holds several commodities: name the one to be brought to 0", p.account)
	}
	p.assigned = true
	return nil
}
