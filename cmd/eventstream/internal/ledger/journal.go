package ledger

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// The bounds of a transaction: it is one append.
const (
	maxPostings         = source.MaxBlockEvents
	maxTransactionBytes = source.MaxBlockBytes / 2
)

// journal reads a file item by item. It keeps what directives said, and what accounts
// hold; of transactions it keeps nothing.
type journal struct {
	lines        *lines
	commodities  *commodities
	aliases      map[string]string // of accounts
	applied      []application     // the innermost is the last
	bucket       string            // the account that balances a transaction of one posting
	year         int               // of dates that name none; 0: none
	holdings     holdings
	transactions int // read so far, bad ones included
	prices       int
}

// application is what a directive "apply" puts on all that follows until its end.
type application struct {
	what  string // account, tag or year
	text  string // the account, or the tag's name
	value string // of a tag
	year  int    // that held before
	line  int
}

type tag struct{ name, value string }

// quote is a line P: what something cost on a day.
type quote struct {
	line      int
	number    int // among all of the file, from 1
	at        time.Time
	commodity string
	price     amount
}

// item is a part of a journal that becomes events.
type item struct {
	transaction *transaction
	quote       *quote
}

func newJournal(r io.Reader) *journal {
	return &journal{
		lines: newLines(r), commodities: newCommodities(), aliases: map[string]string{}, holdings: holdings{},
	}
}

// next returns the next transaction or quote. After a [*source.BadRecord] it can be
// called again; after a [*source.SyntaxError], and after io.EOF, not.
func (j *journal) next() (item, error) {
	for {
		line, ok := j.lines.next()
		if !ok {
			return item{}, j.ended()
		}
		s := &scanner{text: line, line: j.lines.number}
		switch c := s.peek(); {
		case c == 0 || strings.IndexByte(";#*|%", c) >= 0: // a comment
		case c == ' ' || c == '\t':
			if s.blanks(); s.peek() != ';' {
				return item{}, syntax(s.fail("line", "is indented, but belongs to nothing above it"))
			}
		case '0' <= c && c <= '9':
			t, err := j.entry(s)
			return item{transaction: t}, err
		case c == '~':
			return item{}, j.periodic(s)
		default:
			q, bad := j.directive(s)
			switch {
			case bad != nil && bad.field == "P": // nothing else depends on a price
				return item{}, &source.BadRecord{Line: bad.line, Field: bad.field, Reason: bad.reason, Events: 1, Err: bad}
			case bad != nil:
				return item{}, syntax(bad)
			case q != nil:
				return item{quote: q}, nil
			}
		}
	}
}

func syntax(bad *fault) error {
	return &source.SyntaxError{Line: bad.line, Field: bad.field, Reason: bad.reason, Err: bad}
}

// ended tells why there are no more lines.
func (j *journal) ended() error {
	if err := j.lines.failure(); err != nil {
		return &source.SyntaxError{Line: j.lines.number + 1, Reason: err.Error(), Err: err}
	}
	if n := len(j.applied); n > 0 {
		open := j.applied[n-1]
		return &source.SyntaxError{Line: open.line, Field: "apply " + open.what, Reason: "has no end apply"}
	}
	return io.EOF
}

// entry reads a transaction whose first line is s.
func (j *journal) entry(s *scanner) (*transaction, error) {
	j.transactions++
	var t *transaction
	var bad *fault
	if err := checkText(s.text); err != nil {
		t, bad = &transaction{}, s.fail("text", "%v", err)
	} else {
		t, bad = j.header(s)
	}
	postings, bad := j.body(t, bad)
	if bad == nil {
		bad = j.balance(t)
	}
	if bad == nil && len(t.postings) > maxPostings {
		bad = &fault{t.line, "transaction", fmt.Sprintf("has %d postings with those that were left out, one append takes %d", len(t.postings), maxPostings)}
	}
	if bad != nil {
		return nil, &source.BadRecord{Line: bad.line, Field: bad.field, Reason: bad.reason, Events: max(postings, 1), Err: bad}
	}
	for _, p := range t.postings {
		j.holdings.add(p)
	}
	return t, nil
}

// periodic refuses a periodic transaction: a budget, which posts nothing.
func (j *journal) periodic(s *scanner) error {
	postings, _ := j.body(&transaction{}, s.fail("periodic transaction", "is a budget and no entry: remove it"))
	return &source.BadRecord{
		Line: s.line, Field: "periodic transaction", Events: max(postings, 1),
		Reason: "is a budget, which posts nothing: remove it, or leave it out with --skip-bad",
	}
}

// resolveAccount returns the account that a name stands for: by alias, or below the
// account that is applied.
func (j *journal) resolveAccount(name string) string {
	if of, ok := j.aliases[name]; ok {
		return of
	}
	if first, rest, more := strings.Cut(name, ":"); more {
		if of, ok := j.aliases[first]; ok {
			return of + ":" + rest
		}
	}
	return j.below(name)
}

// below returns name below the account that is applied.
func (j *journal) below(name string) string {
	for i := len(j.applied) - 1; i >= 0; i-- {
		if a := j.applied[i]; a.what == "account" {
			return a.text + ":" + name
		}
	}
	return name
}

func (j *journal) appliedTags() []tag {
	var tags []tag
	for _, a := range j.applied {
		if a.what == "tag" {
			tags = append(tags, tag{a.text, a.value})
		}
	}
	return tags
}
