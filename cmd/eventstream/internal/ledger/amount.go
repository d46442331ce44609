package ledger

import (
	"strings"
	"time"

	"github.com/nexus-erp/eventstream/projection/decimal"
)

// amount is a number of a commodity.
type amount struct {
	number    decimal.Decimal
	commodity string // "": a bare number
}

func (a amount) String() string {
	if a.commodity == "" {
		return a.number.String()
	}
	return a.number.String() + " " + a.commodity
}

func (a amount) neg() amount { return amount{a.number.Neg(), a.commodity} }

// price is what one of something costs, or all of it.
type price struct {
	amount
	total bool // of all of it
	fixed bool // it does not follow the market
}

// of returns what an amount costs.
func (p *price) of(a amount) amount {
	switch {
	case !p.total:
		return amount{p.number.Mul(a.number), p.commodity}
	case a.number.Sign() < 0:
		return p.neg()
	default:
		return p.amount
	}
}

// lot tells a commodity that was bought apart from others of its kind.
type lot struct {
	price *price
	date  time.Time // zero: none
	note  string
}

// key tells lots apart.
func (l *lot) key() string {
	if l == nil {
		return ""
	}
	var b strings.Builder
	if l.price != nil {
		b.WriteString("{" + l.price.String())
		if l.price.total {
			b.WriteByte('}')
		}
	}
	if !l.date.IsZero() {
		b.WriteString("[" + l.date.Format(time.DateOnly))
	}
	if l.note != "" {
		b.WriteString("(" + l.note)
	}
	return b.String()
}

// amountText reads $1,234.50, -1.234,50 EUR, "A 1" 3 and the like.
func (j *journal) amount(s *scanner, field string, isPrice bool) (amount, *fault) {
	if s.peek() == '(' {
		return amount{}, s.fail(field, "is an expression, which is not computed: write the amount")
	}
	negative, signed := s.sign()
	var symbol string
	var bad *fault
	if c := s.peek(); c != '.' && c != ',' && (c < '0' || c > '9') {
		if symbol, bad = s.symbol(); bad != nil {
			return amount{}, bad
		}
		if symbol == "" {
			return amount{}, s.fail(field, "an amount is expected at %s", s.next())
		}
		s.blanks()
		minus, again := s.sign()
		if signed && again {
			return amount{}, s.fail(field, "the amount has two signs")
		}
		negative = negative || minus
	}
	from := s.at
	for c := s.peek(); c == '.' || c == ',' || '0' <= c && c <= '9'; c = s.peek() {
		s.at++
	}
	digits := s.text[from:s.at]
	if digits == "" {
		return amount{}, s.fail(field, "a number is expected behind %q", symbol)
	}
	if symbol == "" {
		before := s.at
		s.blanks()
		if symbol, bad = s.symbol(); bad != nil {
			return amount{}, bad
		}
		if symbol == "" {
			s.at = before
		}
	}
	symbol = j.commodities.resolve(symbol)
	n, err := parseNumber(digits, j.commodities.get(symbol).decimalComma)
	if err != nil {
		return amount{}, s.fail(field, "%q %v", digits, err)
	}
	j.commodities.saw(symbol, n, isPrice)
	if negative {
		n.value = n.value.Neg()
	}
	return amount{n.value, symbol}, nil
}

// sign takes a sign and the blanks behind it.
func (s *scanner) sign() (negative, signed bool) {
	switch s.peek() {
	case '-':
		negative = true
	case '+':
	default:
		return false, false
	}
	s.at++
	s.blanks()
	return negative, true
}

// lot reads what stands behind an amount: {price}, {{total price}}, {=fixed price},
// [date], (note), in any order, each once.
func (j *journal) lot(s *scanner) (*lot, *fault) {
	var l *lot
	for {
		before := s.at
		s.blanks()
		var found lot
		if l != nil {
			found = *l
		}
		var bad *fault
		switch {
		case s.peek() == '{':
			if found.price != nil {
				return nil, s.fail("lot", "the amount has two lot prices")
			}
			found.price, bad = j.lotPrice(s)
		case s.peek() == '[':
			if !found.date.IsZero() {
				return nil, s.fail("lot", "the amount has two lot dates")
			}
			found.date, bad = j.lotDate(s)
		case s.peek() == '(' && !strings.HasPrefix(s.rest(), "(@"):
			if found.note != "" {
				return nil, s.fail("lot", "the amount has two lot notes")
			}
			found.note, bad = s.lotNote()
		default:
			s.at = before
			return l, nil
		}
		if bad != nil {
			return nil, bad
		}
		l = &found
	}
}

func (j *journal) lotPrice(s *scanner) (*price, *fault) {
	p := &price{total: s.accept("{{")}
	if !p.total {
		s.accept("{")
	}
	s.blanks()
	if s.accept("=") {
		p.fixed = true
		s.blanks()
	}
	a, bad := j.amount(s, "lot", true)
	if bad != nil {
		return nil, bad
	}
	s.blanks()
	end := "}"
	if p.total {
		end = "}}"
	}
	if !s.accept(end) {
		return nil, s.fail("lot", "the lot price does not end with %s", end)
	}
	p.amount = a
	return p, nil
}

func (j *journal) lotDate(s *scanner) (time.Time, *fault) {
	s.accept("[")
	text, ok := s.until(']')
	if !ok {
		return time.Time{}, s.fail("lot", "the lot date does not end with ]")
	}
	date, err := j.date(strings.TrimSpace(text))
	if err != nil {
		return time.Time{}, s.fail("lot", "%q %v", text, err)
	}
	return date, nil
}

func (s *scanner) lotNote() (string, *fault) {
	s.accept("(")
	if s.peek() == '(' {
		return "", s.fail("lot", "values a lot by an expression, which is not computed: leave it out")
	}
	text, ok := s.until(')')
	if !ok || strings.TrimSpace(text) == "" {
		return "", s.fail("lot", "the lot note does not end with ), or is empty")
	}
	return text, nil
}

// price reads @ price, @@ total price, (@) price, (@@) total price.
func (j *journal) price(s *scanner) (*price, *fault) {
	hidden := s.accept("(@") // it does not go to the market prices, which are not kept here anyway
	if !hidden && !s.accept("@") {
		return nil, nil
	}
	p := &price{total: s.accept("@")}
	if hidden && !s.accept(")") {
		return nil, s.fail("price", "( without )")
	}
	s.blanks()
	if s.accept("=") {
		p.fixed = true
		s.blanks()
	}
	a, bad := j.amount(s, "price", true)
	if bad != nil {
		return nil, bad
	}
	if a.number.Sign() < 0 {
		return nil, s.fail("price", "%s is negative: the sign belongs to the amount", a)
	}
	p.amount = a
	return p, nil
}
