package ledger

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// fault is what is wrong with a line.
type fault struct {
	line   int
	field  string
	reason string
}

func (f *fault) Error() string { return fmt.Sprintf("line %d: %s: %s", f.line, f.field, f.reason) }

// scanner reads one line from left to right.
type scanner struct {
	text string
	at   int
	line int
}

func (s *scanner) fail(field, format string, args ...any) *fault {
	return &fault{line: s.line, field: field, reason: fmt.Sprintf(format, args...)}
}

// rest is what was not read yet.
func (s *scanner) rest() string { return s.text[s.at:] }

func (s *scanner) done() bool { return s.at >= len(s.text) }

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.text[s.at]
}

// accept takes prefix if it comes next.
func (s *scanner) accept(prefix string) bool {
	if strings.HasPrefix(s.rest(), prefix) {
		s.at += len(prefix)
		return true
	}
	return false
}

func (s *scanner) blanks() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.at++
	}
}

// word takes everything up to a blank.
func (s *scanner) word() string {
	from := s.at
	for !s.done() && s.peek() != ' ' && s.peek() != '\t' {
		s.at++
	}
	return s.text[from:s.at]
}

// until takes everything up to the byte end, and end itself. It reports false if end
// does not come.
func (s *scanner) until(end byte) (string, bool) {
	i := strings.IndexByte(s.rest(), end)
	if i < 0 {
		return "", false
	}
	text := s.text[s.at : s.at+i]
	s.at += i + 1
	return text, true
}

// wide takes everything up to a tab or two blanks, which end names that may hold a
// blank, and the blanks behind it.
func (s *scanner) wide() string {
	from := s.at
	for !s.done() && s.peek() != '\t' && !strings.HasPrefix(s.rest(), "  ") {
		s.at++
	}
	text := strings.TrimRight(s.text[from:s.at], " \t")
	s.blanks()
	return text
}

// next shows the next character in messages.
func (s *scanner) next() string {
	if s.done() {
		return "the end of the line"
	}
	r, _ := utf8.DecodeRuneInString(s.rest())
	return fmt.Sprintf("%q", r)
}
