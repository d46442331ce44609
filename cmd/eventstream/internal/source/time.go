package source

import (
	"errors"
	"time"
)

// ParseTime reads a moment as RFC 3339 or XML Schema write it. A time without an
// offset from UTC is refused: guessing it would move events by hours.
func ParseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err == nil {
		return t, nil
	}
	if _, err := time.Parse("2006-01-02T15:04:05", text); err == nil {
		return time.Time{}, errors.New("has no offset from UTC: write it as 2006-01-02T15:04:05Z or 2006-01-02T15:04:05+01:00")
	}
	return time.Time{}, errors.New("is no time of the form 2006-01-02T15:04:05.999+01:00")
}
