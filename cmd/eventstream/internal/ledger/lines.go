package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxLineBytes bounds a line. Ledger itself takes 4 KiB.
const maxLineBytes = 1 << 20

// lines reads a file line by line, and can look at the next one.
type lines struct {
	in     *bufio.Reader
	number int // of the line that next returned last, from 1
	held   string
	has    bool  // held is the next line
	end    error // why there are no more lines
}

func newLines(r io.Reader) *lines { return &lines{in: bufio.NewReaderSize(r, 64<<10)} }

// peek returns the next line, without its end, and false behind the last one.
func (l *lines) peek() (string, bool) {
	if !l.has && l.end == nil {
		l.held, l.end = l.read()
		l.has = l.end == nil
	}
	return l.held, l.has
}

// next takes the next line.
func (l *lines) next() (string, bool) {
	line, ok := l.peek()
	if ok {
		l.number++
		l.has = false
	}
	return line, ok
}

// failure returns what ended the file, if that was not its end.
func (l *lines) failure() error {
	if errors.Is(l.end, io.EOF) {
		return nil
	}
	return l.end
}

func (l *lines) read() (string, error) {
	var b []byte
	for {
		part, err := l.in.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case len(b) > maxLineBytes:
			return "", fmt.Errorf("the line is longer than %d KiB: is it a journal?", maxLineBytes>>10)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(b) > 0: // a last line without an end
		case err != nil:
			return "", err
		}
		line := string(b)
		if l.number == 0 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		return strings.TrimRight(line, " \t\r\n\v\f"), nil
	}
}

// indented reports whether line belongs to the item above it. A line of blanks alone
// does not.
func indented(line string) bool { return line != "" && (line[0] == ' ' || line[0] == '\t') }

// checkText finds a line that is no text.
func checkText(line string) error {
	if !utf8.ValidString(line) {
		return errors.New("is not valid UTF-8: convert the file, for example with iconv")
	}
	return nil
}
