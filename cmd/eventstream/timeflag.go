package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// parseTime reads a moment: RFC 3339, "now", or relative to now as "-15m", "-2h30m"
// or "-7d".
func parseTime(env *environment, flag, text string) (time.Time, error) {
	if text == "now" {
		return env.now(), nil
	}
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		d, err := parseDuration(text)
		if err != nil {
			return time.Time{}, usagef("%s: %q is no relative time as -15m, -2h30m or -7d", flag, text)
		}
		return env.now().Add(d), nil
	}
	t, err := source.ParseTime(text)
	if err != nil {
		return time.Time{}, usagef("%s: %q %v; or relative, as -15m", flag, text, err)
	}
	return t, nil
}

// parseDuration also reads whole days, which time.ParseDuration does not.
func parseDuration(text string) (time.Duration, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		if days, err := strconv.ParseInt(number, 10, 32); err == nil {
			return time.Duration(days) * 24 * time.Hour, nil
		}
	}
	return time.ParseDuration(text)
}
