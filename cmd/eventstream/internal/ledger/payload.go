package ledger

import (
	"time"

	"github.com/nexus-erp/eventstream/projection/decimal"
)

// postingPayload is the payload of a posting. Amounts are text, with all their digits.
type postingPayload struct {
	Account     string             `json:"account"`
	Amount      decimal.Decimal    `json:"amount"`
	Commodity   string             `json:"commodity"` // "": a bare number
	Price       *amountPayload     `json:"price,omitempty"`
	TotalPrice  *amountPayload     `json:"total_price,omitempty"`
	PriceFixed  bool               `json:"price_fixed,omitempty"`
	Lot         *lotPayload        `json:"lot,omitempty"`
	Virtual     string             `json:"virtual,omitempty"`  // "unbalanced" or "balanced"
	Elided      bool               `json:"elided,omitempty"`   // the amount followed from the rest
	Assigned    bool               `json:"assigned,omitempty"` // the amount followed from the balance
	Balance     *amountPayload     `json:"balance,omitempty"`  // that was asserted or assigned
	Date        string             `json:"date"`
	AuxDate     string             `json:"aux_date,omitempty"`
	State       string             `json:"state,omitempty"` // "cleared" or "pending"
	Note        string             `json:"note,omitempty"`
	Tags        map[string]string  `json:"tags,omitempty"`
	Transaction transactionPayload `json:"transaction"`
}

// transactionPayload is what each posting says of its transaction.
type transactionPayload struct {
	Number  int               `json:"number"` // in the file, from 1
	Date    string            `json:"date"`
	AuxDate string            `json:"aux_date,omitempty"`
	State   string            `json:"state,omitempty"`
	Code    string            `json:"code,omitempty"`
	Payee   string            `json:"payee"`
	Note    string            `json:"note,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
}

type amountPayload struct {
	Amount    decimal.Decimal `json:"amount"`
	Commodity string          `json:"commodity"`
}

type lotPayload struct {
	Price      *amountPayload `json:"price,omitempty"`
	TotalPrice *amountPayload `json:"total_price,omitempty"`
	PriceFixed bool           `json:"price_fixed,omitempty"`
	Date       string         `json:"date,omitempty"`
	Note       string         `json:"note,omitempty"`
}

// quotePayload is the payload of a market price.
type quotePayload struct {
	Commodity string        `json:"commodity"`
	Price     amountPayload `json:"price"`
}

func payloadOf(t *transaction, p *posting) *postingPayload {
	out := &postingPayload{
		Account: p.account, Amount: p.amount.number, Commodity: p.amount.commodity, Virtual: p.kind,
		Elided: p.elided, Assigned: p.assigned, Balance: payloadAmount(p.assertion),
		Date: dateText(p.date), AuxDate: dateText(p.auxDate), State: p.state, Note: p.note.text(), Tags: p.note.tags,
		Transaction: transactionPayload{
			Number: t.number, Date: dateText(t.date), AuxDate: dateText(t.auxDate), State: t.state, Code: t.code, Payee: t.payee,
			Note: t.note.text(), Tags: t.note.tags,
		},
	}
	out.Price, out.TotalPrice, out.PriceFixed = payloadPrice(p.price)
	if l := p.lot; l != nil {
		out.Lot = &lotPayload{Date: dateText(l.date), Note: l.note}
		out.Lot.Price, out.Lot.TotalPrice, out.Lot.PriceFixed = payloadPrice(l.price)
	}
	return out
}

func payloadAmount(a *amount) *amountPayload {
	if a == nil {
		return nil
	}
	return &amountPayload{a.number, a.commodity}
}

func payloadPrice(p *price) (each, total *amountPayload, fixed bool) {
	switch {
	case p == nil:
		return nil, nil, false
	case p.total:
		return nil, payloadAmount(&p.amount), p.fixed
	default:
		return payloadAmount(&p.amount), nil, p.fixed
	}
}

func dateText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}
