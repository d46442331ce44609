package ledger

import (
	"strconv"
	"strings"
	"time"
)

// refused are the directives that are not supported, with the reason and the mend. What
// follows one of them could mean something else, so the file ends there.
var refused = map[string]string{
	"=":        "is an automated transaction, whose postings only ledger can make: write them into the transactions",
	"-":        "is an option of ledger: remove it",
	"include":  "reads another file: import each file by itself, or join them to one",
	"import":   "runs Python: remove it",
	"python":   "runs Python: remove it",
	"C":        "converts units, which is not supported: write the amounts in one unit",
	"i":        timeclock,
	"I":        timeclock,
	"o":        timeclock,
	"O":        timeclock,
	"h":        timeclock,
	"b":        timeclock,
	"define":   expression,
	"def":      expression,
	"eval":     expression,
	"expr":     expression,
	"value":    expression,
	"assert":   "checks an expression, which is not computed: remove it",
	"check":    "checks an expression, which is not computed: remove it",
	"fixed":    fixedRate,
	"endfixed": fixedRate,
	"capture":  "moves postings to other accounts: write the accounts into the transactions",
}

const (
	timeclock  = "is a timeclock entry, which is not supported: write transactions"
	expression = "defines an expression, which is not computed: remove it"
	fixedRate  = "fixes the price of a commodity: write {=price} behind the amounts"
)

// directive carries out a line that is no transaction. Of directives only a price makes
// an event.
func (j *journal) directive(s *scanner) (*quote, *fault) {
	if err := checkText(s.text); err != nil {
		return nil, s.fail("text", "%v", err)
	}
	if s.peek() == '!' || s.peek() == '@' {
		s.at++
	}
	word := j.directiveWord(s)
	if reason, ok := refused[word]; ok {
		return nil, s.fail(word, "%s", reason)
	}
	s.blanks()
	needsText := func(do func(text string) *fault) *fault {
		text := strings.TrimSpace(s.rest())
		if text == "" {
			return s.fail(word, "says nothing more")
		}
		return do(text)
	}
	switch word {
	case "P":
		return j.quote(s)
	case "comment", "test":
		return nil, j.skipBlock(s, word)
	case "end":
		return nil, j.endApply(s)
	case "account":
		return nil, needsText(func(text string) *fault { return j.accountDirective(s, text) })
	case "commodity":
		return nil, needsText(func(string) *fault { return j.commodityDirective(s) })
	case "payee":
		return nil, needsText(func(string) *fault { return j.declaration(s, word) })
	case "tag":
		return nil, needsText(func(string) *fault { return j.declaration(s, word) })
	case "alias":
		return nil, needsText(func(text string) *fault { return j.alias(s, text) })
	case "apply":
		return nil, j.apply(s)
	case "bucket", "A":
		return nil, needsText(func(text string) *fault { j.bucket = j.below(text); return nil })
	case "year", "Y":
		return nil, needsText(func(text string) *fault { return j.setYear(s, text) })
	case "D":
		return nil, needsText(func(string) *fault { return j.format(s, "") })
	case "N": // no market prices are wanted for a commodity
		return nil, needsText(func(string) *fault { return nil })
	}
	return nil, s.fail(word, "is no directive that is known")
}

// directiveWord takes a directive's name. Those of one letter need no blank behind them.
func (j *journal) directiveWord(s *scanner) string {
	for _, letter := range "=-PDYACN" {
		if rune(s.peek()) != letter {
			continue
		}
		rest := s.rest()[1:]
		if letter == '=' || letter == '-' || rest == "" || strings.IndexByte(" \t0123456789$", rest[0]) >= 0 {
			s.at++
			return string(letter)
		}
	}
	return s.word()
}

// quote reads P DATE [TIME] COMMODITY PRICE. The time is UTC.
func (j *journal) quote(s *scanner) (*quote, *fault) {
	j.prices++
	q := &quote{line: s.line, number: j.prices}
	text := s.word()
	var err error
	if q.at, err = j.date(text); err != nil {
		return nil, s.fail("P", "%q %v", text, err)
	}
	s.blanks()
	if strings.IndexByte("0123456789", s.peek()) >= 0 && s.peek() != 0 {
		text := s.word()
		clock, err := time.Parse("15:04:05", text)
		if err != nil {
			clock, err = time.Parse("15:04", text)
		}
		if err != nil {
			return nil, s.fail("P", "%q is no time as 15:04:05", text)
		}
		q.at = q.at.Add(time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute + time.Duration(clock.Second())*time.Second)
		s.blanks()
	}
	symbol, bad := s.symbol()
	if bad != nil {
		return nil, bad
	}
	if symbol == "" {
		return nil, s.fail("P", "a commodity is expected at %s", s.next())
	}
	q.commodity = j.commodities.resolve(symbol)
	s.blanks()
	if q.price, bad = j.amount(s, "P", true); bad != nil {
		return nil, bad
	}
	s.blanks()
	if !s.done() && s.peek() != ';' {
		return nil, s.fail("P", "%s is not expected behind the price", s.next())
	}
	return q, nil
}

// skipBlock takes a comment of several lines.
func (j *journal) skipBlock(s *scanner, word string) *fault {
	for {
		line, ok := j.lines.next()
		if !ok {
			return s.fail(word, "has no end: a line %q", "end "+word)
		}
		if strings.HasPrefix(line, "end comment") || strings.HasPrefix(line, "end test") {
			return nil
		}
	}
}

// details calls fn for each line that belongs to a directive: its keyword and the rest.
func (j *journal) details(fn func(s *scanner, keyword, text string) *fault) *fault {
	for {
		line, ok := j.lines.peek()
		if !ok || !indented(line) {
			return nil
		}
		j.lines.next()
		s := &scanner{text: line, line: j.lines.number}
		if err := checkText(line); err != nil {
			return s.fail("text", "%v", err)
		}
		s.blanks()
		if s.peek() == ';' {
			continue
		}
		keyword := s.word()
		s.blanks()
		if bad := fn(s, keyword, s.rest()); bad != nil {
			return bad
		}
	}
}

func (j *journal) accountDirective(s *scanner, name string) *fault {
	name, _ = cutComment(name)
	account := j.resolveAccount(name)
	return j.details(func(s *scanner, keyword, text string) *fault {
		switch keyword {
		case "note":
			return nil
		case "alias":
			return j.setAlias(s, text, account)
		case "default":
			j.bucket = account
			return nil
		}
		return s.fail("account "+keyword, "is not supported: remove it")
	})
}

// declaration takes a directive that only says that something exists.
func (j *journal) declaration(s *scanner, word string) *fault {
	return j.details(func(s *scanner, keyword, _ string) *fault {
		return s.fail(word+" "+keyword, "is not supported: remove it")
	})
}

func (j *journal) commodityDirective(s *scanner) *fault {
	symbol := ""
	if strings.IndexByte("0123456789-.", s.peek()) >= 0 {
		if bad := j.format(s, ""); bad != nil {
			return bad
		}
	} else {
		from := s.at
		var bad *fault
		if symbol, bad = s.symbol(); bad != nil {
			return bad
		}
		symbol = j.commodities.resolve(symbol)
		s.blanks()
		if c := s.peek(); '0' <= c && c <= '9' || c == '-' {
			s.at = from
			if bad := j.format(s, ""); bad != nil {
				return bad
			}
		} else if !s.done() && c != ';' {
			return s.fail("commodity", "%s is not expected behind the symbol", s.next())
		}
	}
	return j.details(func(s *scanner, keyword, text string) *fault {
		switch keyword {
		case "note", "nomarket", "default":
			return nil
		case "format":
			return j.format(s, symbol)
		case "alias":
			a := &scanner{text: text, line: s.line}
			other, bad := a.symbol()
			if bad == nil && (other == "" || other == symbol || !a.done()) {
				bad = s.fail("commodity alias", "%q is no other symbol", text)
			}
			if bad != nil {
				return bad
			}
			j.commodities.aliases[other] = symbol
			return nil
		}
		return s.fail("commodity "+keyword, "is not supported: remove it")
	})
}

// format declares how amounts of a commodity are written, by an example. It must be one
// of symbol, if that is not empty.
func (j *journal) format(s *scanner, symbol string) *fault {
	from := s.at
	a, bad := j.amount(s, "format", true)
	if bad != nil {
		return bad
	}
	if symbol != "" && a.commodity != symbol {
		return s.fail("format", "%q is of %s, not of %s", s.text[from:s.at], a.commodity, symbol)
	}
	s.blanks()
	if !s.done() && s.peek() != ';' {
		return s.fail("format", "%s is not expected behind the amount", s.next())
	}
	j.commodities.declare(a.commodity, number{value: a.number, decimalComma: j.commodities.get(a.commodity).decimalComma})
	return nil
}

// alias reads ALIAS=ACCOUNT.
func (j *journal) alias(s *scanner, text string) *fault {
	alias, account, ok := strings.Cut(text, "=")
	if account = strings.TrimSpace(account); !ok || account == "" {
		return s.fail("alias", "%q is not of the form ALIAS=ACCOUNT", text)
	}
	return j.setAlias(s, alias, j.below(account))
}

func (j *journal) setAlias(s *scanner, alias, account string) *fault {
	alias = strings.TrimSpace(alias)
	if alias == "" || alias == account {
		return s.fail("alias", "%q is no other name of %s", alias, account)
	}
	j.aliases[alias] = account
	return nil
}

func (j *journal) setYear(s *scanner, text string) *fault {
	year, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(text) != 4 {
		return s.fail("year", "%q is no year as 2004", text)
	}
	j.year = int(year)
	return nil
}

func (j *journal) apply(s *scanner) *fault {
	what := s.word()
	s.blanks()
	text := strings.TrimSpace(s.rest())
	a := application{what: what, text: text, year: j.year, line: s.line}
	switch {
	case what == "fixed" || what == "rate":
		return s.fail("apply "+what, "%s", fixedRate)
	case what != "account" && what != "tag" && what != "year":
		return s.fail("apply", "%q is none of account, tag, year", what)
	case text == "":
		return s.fail("apply "+what, "says nothing more")
	case what == "account":
		a.text = j.below(text)
	case what == "tag":
		a.text = strings.Trim(text, ":")
		if name, value, ok := strings.Cut(a.text, ":"); ok {
			a.text, a.value = name, strings.TrimSpace(value)
		}
	default:
		if bad := j.setYear(s, text); bad != nil {
			return bad
		}
	}
	j.applied = append(j.applied, a)
	return nil
}

// endApply reads end [apply [WHAT]].
func (j *journal) endApply(s *scanner) *fault {
	words := strings.Fields(s.rest())
	if len(words) > 2 || len(words) > 0 && words[0] != "apply" {
		return s.fail("end", "%q is not of the form end apply WHAT", strings.TrimSpace(s.text))
	}
	if len(j.applied) == 0 {
		return s.fail("end apply", "ends nothing: no apply stands before it")
	}
	last := j.applied[len(j.applied)-1]
	if len(words) == 2 && words[1] != last.what {
		return s.fail("end apply", "%q does not end the apply %s of line %d", words[1], last.what, last.line)
	}
	if last.what == "year" {
		j.year = last.year
	}
	j.applied = j.applied[:len(j.applied)-1]
	return nil
}
