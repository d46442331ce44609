package eventstream

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// number is a decimal number as text has it: sign, digits and exponent, in a form in which
// equal numbers are equal. Nothing is computed, so a number of a few bytes, as 1e999999999,
// takes a few bytes.
type number struct {
	sign     int    // -1, 0 or 1
	exponent int64  // the number is 0.DIGITS times ten to it
	digits   string // without zeros at either end
}

// parseNumber reads a JSON number.
func parseNumber(text string) (n number, ok bool) {
	n.sign = 1
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		n.sign, text = -1, rest
	}
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		exponent := text[at+1:]
		text = text[:at]
		var err error
		if n.exponent, err = strconv.ParseInt(exponent, 10, 64); err != nil || n.exponent > math.MaxInt32 || n.exponent < math.MinInt32 {
			return number{}, false
		}
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if whole == "" || strings.Trim(whole, "0123456789") != "" || strings.Trim(fraction, "0123456789") != "" {
		return number{}, false
	}
	n.exponent += int64(len(whole))
	all := whole + fraction
	n.digits = strings.TrimLeft(all, "0")
	n.exponent -= int64(len(all) - len(n.digits))
	n.digits = strings.TrimRight(n.digits, "0")
	if n.digits == "" {
		return number{}, true
	}
	return n, true
}

// compare returns -1, 0 or 1 as n is less than, equal to or greater than m.
func (n number) compare(m number) int {
	if n.sign != m.sign || n.sign == 0 {
		return cmp.Compare(n.sign, m.sign)
	}
	c := cmp.Compare(n.exponent, m.exponent)
	if c == 0 {
		c = strings.Compare(n.digits, m.digits)
	}
	return n.sign * c
}
