package ledger

import (
	"strings"

	"github.com/nexus-erp/eventstream/projection/decimal"
)

// commodity is what is known of a currency or another thing that is counted.
type commodity struct {
	decimals     int  // the most that an amount had so far
	ofAmounts    bool // decimals was seen in an amount, not only in prices
	fixed        bool // a format was declared
	decimalComma bool
}

// commodities knows commodities by their symbols. The amounts without one share "".
type commodities struct {
	known   map[string]*commodity
	aliases map[string]string
}

func newCommodities() *commodities {
	return &commodities{known: map[string]*commodity{}, aliases: map[string]string{}}
}

func (c *commodities) get(symbol string) *commodity {
	if known := c.known[symbol]; known != nil {
		return known
	}
	known := &commodity{}
	c.known[symbol] = known
	return known
}

// resolve returns the symbol that symbol is an alias of.
func (c *commodities) resolve(symbol string) string {
	if of, ok := c.aliases[symbol]; ok {
		return of
	}
	return symbol
}

// saw notes how an amount, or a price, was written. Prices do not count once an amount
// was seen: they often have more decimals than anybody settles to.
func (c *commodities) saw(symbol string, n number, price bool) {
	known := c.get(symbol)
	if n.decimalComma {
		known.decimalComma = true
	}
	switch scale := n.value.Scale(); {
	case known.fixed || price && known.ofAmounts:
	case !price && !known.ofAmounts:
		known.decimals, known.ofAmounts = scale, true
	default:
		known.decimals = max(known.decimals, scale)
	}
}

// declare notes the format that a directive gives.
func (c *commodities) declare(symbol string, n number) {
	known := c.get(symbol)
	known.decimals, known.ofAmounts, known.fixed, known.decimalComma = n.value.Scale(), true, true, n.decimalComma
}

// negligible reports whether an amount would be shown as zero: that is how close the
// two sides of a transaction must come. An amount without a commodity must be zero.
func (c *commodities) negligible(symbol string, n decimal.Decimal) bool {
	if symbol == "" {
		return n.IsZero()
	}
	return n.Round(c.get(symbol).decimals).IsZero()
}

// notInSymbols are the characters that a symbol without quotes cannot hold.
const notInSymbols = " \t0123456789.,:;?!-+*/^&|=<>{}[]()@\"~"

// symbol takes a commodity's symbol, in quotes or not; "" if none comes.
func (s *scanner) symbol() (string, *fault) {
	if s.accept(`"`) {
		text, ok := s.until('"')
		if !ok || text == "" {
			return "", s.fail("commodity", "a symbol in quotes does not end, or is empty")
		}
		return text, nil
	}
	n := strings.IndexAny(s.rest(), notInSymbols)
	if n < 0 {
		n = len(s.rest())
	}
	text := s.rest()[:n]
	s.at += n
	return text, nil
}
