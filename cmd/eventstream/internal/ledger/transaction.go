package ledger

import (
	"strings"
	"time"
)

// The states of transactions and postings. "" is uncleared.
const (
	cleared = "cleared"
	pending = "pending"
)

// The kinds of postings. "" is a real one.
const (
	virtual         = "unbalanced" // (Account): it stands outside the balance
	balancedVirtual = "balanced"   // [Account]: such postings balance among themselves
)

// transaction is an entry of the journal.
type transaction struct {
	number   int // among all transactions of the file, from 1
	line     int
	date     time.Time
	auxDate  time.Time // zero: none
	state    string
	code     string
	payee    string
	note     note
	postings []*posting
}

// posting is what a transaction posts to one account.
type posting struct {
	line      int
	account   string
	kind      string
	state     string
	date      time.Time
	auxDate   time.Time // zero: none
	amount    *amount   // nil until it is filled in
	elided    bool      // the amount followed from the rest
	assigned  bool      // the amount followed from the balance that was assigned
	lot       *lot
	price     *price
	assertion *amount
	note      note
}

// header reads the first line: DATE[=DATE] [*|!] [(CODE)] PAYEE [; NOTE].
func (j *journal) header(s *scanner) (*transaction, *fault) {
	t := &transaction{number: j.transactions, line: s.line}
	text := s.word()
	date, aux, _ := strings.Cut(text, "=")
	var err error
	if t.date, err = j.date(date); err != nil {
		return t, s.fail("date", "%q %v", date, err)
	}
	if aux != "" {
		if t.auxDate, err = parseDate(aux, t.date.Year()); err != nil {
			return t, s.fail("date", "%q %v", aux, err)
		}
	}
	s.blanks()
	t.state = s.state()
	if s.accept("(") {
		code, ok := s.until(')')
		if !ok {
			return t, s.fail("code", "does not end with )")
		}
		t.code = code
		s.blanks()
	}
	payee, comment := cutComment(s.rest())
	t.payee = payee
	t.addNote(comment)
	for _, tag := range j.appliedTags() {
		if _, ok := t.note.tags[tag.name]; !ok {
			t.note.set(tag.name, tag.value)
		}
	}
	return t, nil
}

// cutComment parts a line at the first semicolon behind a tab or two blanks.
func cutComment(text string) (before, comment string) {
	for i := range len(text) {
		if text[i] != ';' {
			continue
		}
		gap := len(text[:i]) - len(strings.TrimRight(text[:i], " \t"))
		if i == 0 || gap > 1 || gap == 1 && text[i-1] == '\t' {
			return strings.TrimSpace(text[:i]), text[i+1:]
		}
	}
	return strings.TrimSpace(text), ""
}

// state takes * or !.
func (s *scanner) state() string {
	state := ""
	switch {
	case s.accept("*"):
		state = cleared
	case s.accept("!"):
		state = pending
	}
	s.blanks()
	return state
}

func (t *transaction) addNote(text string) {
	t.note.add(text)
	if date, aux, ok := noteDates(text, t.date.Year()); ok {
		if !date.IsZero() {
			t.date = date
		}
		if !aux.IsZero() {
			t.auxDate = aux
		}
	}
}

func (p *posting) addNote(text string) {
	p.note.add(text)
	if date, aux, ok := noteDates(text, p.date.Year()); ok {
		if !date.IsZero() {
			p.date = date
		}
		if !aux.IsZero() {
			p.auxDate = aux
		}
	}
}

// noteDates reads [2004/05/01], [=2004/05/02] or both in one from a note: the dates of
// a single posting. ok is false if nothing in brackets is a date.
func noteDates(text string, year int) (date, aux time.Time, ok bool) {
	_, rest, found := strings.Cut(text, "[")
	inside, _, closed := strings.Cut(rest, "]")
	if !found || !closed {
		return date, aux, false
	}
	first, second, hasSecond := strings.Cut(inside, "=")
	var err error
	if first != "" {
		if date, err = parseDate(first, year); err != nil {
			return time.Time{}, time.Time{}, false
		}
	}
	if hasSecond {
		if aux, err = parseDate(second, year); err != nil {
			return time.Time{}, time.Time{}, false
		}
	}
	return date, aux, first != "" || hasSecond
}

// body takes the lines that belong to a transaction, up to the first one that is not
// indented. After the first fault it only counts postings.
func (j *journal) body(t *transaction, bad *fault) (postings int, _ *fault) {
	var last *posting
	size := 0
	for {
		line, ok := j.lines.peek()
		if !ok || !indented(line) {
			return postings, bad
		}
		j.lines.next()
		s := &scanner{text: line, line: j.lines.number}
		s.blanks()
		comment := s.peek() == ';'
		if !comment {
			postings++
		}
		size += len(line)
		if bad == nil && size > maxTransactionBytes {
			t.postings, bad = nil, s.fail("transaction", "has more than %d MiB", maxTransactionBytes>>20)
		}
		if err := checkText(line); err != nil && bad == nil {
			bad = s.fail("text", "%v", err)
		}
		if bad != nil {
			continue
		}
		if comment {
			if last != nil {
				last.addNote(line[s.at+1:])
			} else {
				t.addNote(line[s.at+1:])
			}
			continue
		}
		if len(t.postings) == maxPostings {
			t.postings, bad = nil, s.fail("transaction", "has more than %d postings, which is what one append takes: make several of it", maxPostings)
			continue
		}
		if last, bad = j.posting(s, t); bad == nil {
			t.postings = append(t.postings, last)
		}
	}
}

// posting reads [*|!] ACCOUNT  [AMOUNT [LOT] [@ PRICE]] [= BALANCE] [; NOTE].
func (j *journal) posting(s *scanner, t *transaction) (*posting, *fault) {
	p := &posting{line: s.line, state: s.state(), date: t.date, auxDate: t.auxDate}
	if p.state == "" {
		p.state = t.state
	}
	name := s.wide()
	for _, word := range []string{"assert", "check", "expr", "eval"} {
		if first, _, more := strings.Cut(name, " "); more && first == word {
			return nil, s.fail(word, "is an expression about the transaction, which is not computed: remove the line")
		}
	}
	var bad *fault
	if p.account, p.kind, bad = j.account(s, name); bad != nil {
		return nil, bad
	}
	if c := s.peek(); c != 0 && c != ';' && c != '=' {
		if bad := j.postedAmount(s, p); bad != nil {
			return nil, bad
		}
	}
	if s.accept("=") {
		s.blanks()
		a, bad := j.amount(s, "balance", true)
		if bad != nil {
			return nil, bad
		}
		p.assertion = &a
		s.blanks()
	}
	if s.accept(";") {
		p.addNote(s.rest())
		s.at = len(s.text)
	}
	if !s.done() {
		return nil, s.fail("amount", "%s is not expected behind the amount", s.next())
	}
	if p.assertion != nil {
		if bad := j.checkBalance(s, p, t.postings); bad != nil {
			return nil, bad
		}
	}
	return p, nil
}

func (j *journal) postedAmount(s *scanner, p *posting) *fault {
	a, bad := j.amount(s, "amount", false)
	if bad != nil {
		return bad
	}
	p.amount = &a
	if p.lot, bad = j.lot(s); bad != nil {
		return bad
	}
	s.blanks()
	if p.price, bad = j.price(s); bad != nil {
		return bad
	}
	if p.price != nil && p.price.commodity == a.commodity {
		return s.fail("price", "%s is of the commodity that it is the price of", p.price)
	}
	s.blanks()
	return nil
}

// account resolves the name of an account, and what its brackets say.
func (j *journal) account(s *scanner, name string) (account, kind string, bad *fault) {
	if name == "" {
		return "", "", s.fail("account", "the posting has none")
	}
	inside := func(open, end byte) bool { return name[0] == open && name[len(name)-1] == end && len(name) > 1 }
	switch {
	case inside('(', ')'):
		kind, name = virtual, name[1:len(name)-1]
	case inside('[', ']'):
		kind, name = balancedVirtual, name[1:len(name)-1]
	case inside('<', '>'):
		return "", "", s.fail("account", "%s is a deferred posting, which is not supported: write it as a real one", name)
	}
	if name = strings.TrimSpace(name); name == "" {
		return "", "", s.fail("account", "its name is empty")
	}
	return j.resolveAccount(name), kind, nil
}
