package ledger

import (
	"errors"
	"strings"

	"github.com/nexus-erp/eventstream/projection/decimal"
)

// number is a number as it was written.
type number struct {
	value        decimal.Decimal
	decimalComma bool // 1.234,56
}

var (
	errNoDigits  = errors.New("has no digits")
	errGroups    = errors.New("is grouped wrongly: thousands have three digits each")
	errTwoPoints = errors.New("has two decimal points")
)

// parseNumber reads digits with points and commas. Which of them stands before the
// decimals is decided as ledger does: the last one if both occur; a comma alone groups
// thousands if three digits follow it, or six and so on, unless decimalComma says that
// this commodity is written otherwise.
func parseNumber(text string, decimalComma bool) (number, error) {
	point, comma := strings.LastIndexByte(text, '.'), strings.LastIndexByte(text, ',')
	switch {
	case comma > point && point >= 0:
		decimalComma = true
	case point > comma && comma >= 0 && decimalComma:
		return number{}, errGroups // 1,234.567 where commas stand before decimals
	case comma >= 0 && point < 0 && !decimalComma:
		decimalComma = (len(text)-comma-1)%3 != 0 && strings.Count(text, ",") == 1
	}
	mark, group := ".", ","
	if decimalComma {
		mark, group = ",", "."
	}
	whole, fraction, _ := strings.Cut(text, mark)
	if strings.Contains(fraction, mark) {
		return number{}, errTwoPoints
	}
	if strings.Contains(fraction, group) {
		return number{}, errGroups
	}
	if strings.Contains(whole, group) {
		groups := strings.Split(whole, group)
		for i, g := range groups {
			if i == 0 && (len(g) == 0 || len(g) > 3) || i > 0 && len(g) != 3 {
				return number{}, errGroups
			}
		}
		whole = strings.Join(groups, "")
	}
	if whole == "" && fraction == "" {
		return number{}, errNoDigits
	}
	value, err := decimal.Parse(whole + "." + fraction)
	return number{value: value, decimalComma: decimalComma}, err
}
