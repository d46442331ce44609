package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// transcript is what the demo prints, and the claims that did not hold.
type transcript struct {
	out    io.Writer
	err    error // the first of out's
	proved int
	failed []string
}

func (t *transcript) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *transcript) heading(text string) { t.printf("\n%s\n", text) }

// claim prints a claim and whether it holds.
func (t *transcript) claim(holds bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if holds {
		t.proved++
		t.printf("  ok      %s\n", text)
		return
	}
	t.failed = append(t.failed, text)
	t.printf("  FAILED  %s\n", text)
}

// claimNil prints a claim that holds if err is nil, and err if not.
func (t *transcript) claimNil(err error, format string, args ...any) {
	t.claim(err == nil, format, args...)
	if err != nil {
		t.printf("          %v\n", err)
	}
}

// money formats cents as 1,234.56.
func money(cents int64) string {
	sign := ""
	u := uint64(cents)
	if cents < 0 {
		sign, u = "-", -u
	}
	return sign + group(u/100) + fmt.Sprintf(".%02d", u%100)
}

// group formats n as 1,234,567.
func group(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func groupInt(n int) string { return group(uint64(max(n, 0))) }
