package ledger

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// date reads 2004/05/01, also with - or . and one digit, and 05/01 of the default year.
// A date is midnight UTC of its day.
func (j *journal) date(text string) (time.Time, error) { return parseDate(text, j.year) }

var (
	errNoDate = errors.New("is no date as 2004/05/01")
	errNoYear = errors.New(`has no year, and no directive "Y 2004" stands before it`)
)

func parseDate(text string, year int) (time.Time, error) {
	i := strings.IndexAny(text, "/-.")
	if i < 0 {
		return time.Time{}, errNoDate
	}
	parts := strings.Split(text, text[i:i+1])
	numbers := make([]int, len(parts))
	for k, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || part[0] == '+' {
			return time.Time{}, errNoDate
		}
		numbers[k] = int(n)
	}
	switch {
	case len(numbers) == 3 && len(parts[0]) == 4:
		year = numbers[0]
		numbers = numbers[1:]
	case len(numbers) != 2:
		return time.Time{}, errNoDate
	case year == 0:
		return time.Time{}, errNoYear
	}
	month, day := numbers[0], numbers[1]
	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if month < 1 || month > 12 || date.Day() != day {
		return time.Time{}, errors.New("is a day that no calendar has")
	}
	return date, nil
}
