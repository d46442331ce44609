package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nexus-erp/eventstream"
)

// Book is a general ledger. Amounts are in cents; a debit is positive, a credit negative.
//
//	finance-account-NUMBER   AccountOpened, then a Posted for each line of an entry
//	finance-entry-ID         EntryRecorded, and EntryReversed if it was
//	finance-period-YYYY_MM   PeriodOpened, and PeriodClosed once nothing may be booked there
//
// Rules that span streams are held by the expected versions of one append: an entry goes
// through only if its accounts exist and its period is as it was opened.
type Book struct{ DB *eventstream.DB }

// Entry is a journal entry.
type Entry struct {
	ID    string
	Date  time.Time
	Text  string
	Lines []Line
}

// Line is one account's part of an entry.
type Line struct {
	Account string `msgpack:"account"`
	Cents   int64  `msgpack:"cents"`
}

// The payloads of events.
type (
	accountOpened struct {
		Name string `msgpack:"name"`
	}
	posted struct {
		Entry string `msgpack:"entry"`
		Cents int64  `msgpack:"cents"`
	}
	entryRecorded struct {
		Text  string `msgpack:"text"`
		Lines []Line `msgpack:"lines"`
	}
	entryReversed struct {
		By string `msgpack:"by"`
	}
)

// Why the book refuses.
var (
	ErrUnbalanced   = errors.New("debit and credit differ")
	ErrNoAccount    = errors.New("there is no such account")
	ErrPeriodClosed = errors.New("the period is not open")
	ErrReversed     = errors.New("the entry was reversed already")
)

func account(number string) eventstream.StreamID {
	return eventstream.StreamID("finance-account-" + number)
}

func entryStream(id string) eventstream.StreamID {
	return eventstream.StreamID("finance-entry-" + id)
}

// period is the stream of the month that a day lies in.
func period(month string) eventstream.StreamID {
	return eventstream.StreamID("finance-period-" + strings.ReplaceAll(month, "-", "_"))
}

// OpenAccount adds an account to the chart.
func (b *Book) OpenAccount(ctx context.Context, number, name string) error {
	_, err := b.DB.Append(ctx, account(number), eventstream.NoStream, eventstream.NewEvent{Type: "AccountOpened", Data: accountOpened{name}})
	return err
}

// OpenPeriod lets entries be booked in a month, as 2026-01.
func (b *Book) OpenPeriod(ctx context.Context, month string) error {
	_, err := b.DB.Append(ctx, period(month), eventstream.NoStream, eventstream.NewEvent{Type: "PeriodOpened"})
	return err
}

// ClosePeriod ends that, for good.
func (b *Book) ClosePeriod(ctx context.Context, month string) error {
	_, err := b.DB.Append(ctx, period(month), eventstream.Exact(1), eventstream.NewEvent{Type: "PeriodClosed"})
	if errors.Is(err, eventstream.ErrConflict) {
		return ErrPeriodClosed
	}
	return err
}

// Post books an entry: on all its accounts, or on none.
func (b *Book) Post(ctx context.Context, e Entry) error {
	appends, err := b.appends(e, "")
	if err != nil {
		return err
	}
	_, err = b.DB.AppendAll(ctx, appends)
	return refusal(err)
}

// Reverse books the opposite of an entry, with the entry as its cause, and marks the entry,
// in one commit: the same entry cannot be reversed twice, however many try.
func (b *Book) Reverse(ctx context.Context, id, by string, date time.Time, text string) error {
	var original eventstream.Event
	for ev, err := range b.DB.ReadStream(ctx, entryStream(id), eventstream.To(1)) {
		if err != nil {
			return err
		}
		original = ev
	}
	var recorded entryRecorded
	if err := original.Decode(&recorded); err != nil {
		return fmt.Errorf("entry %s: %w", id, err)
	}
	opposite := Entry{ID: by, Date: date, Text: text}
	for _, l := range recorded.Lines {
		opposite.Lines = append(opposite.Lines, Line{l.Account, -l.Cents})
	}
	appends, err := b.appends(opposite, original.ID.String())
	if err != nil {
		return err
	}
	appends = append(appends, eventstream.StreamAppend{Stream: entryStream(id), Expect: eventstream.Exact(1), Events: []eventstream.NewEvent{
		{Type: "EntryReversed", Data: entryReversed{by}, OccurredAt: date, CorrelationID: id, CausationID: original.ID.String()},
	}})
	_, err = b.DB.AppendAll(ctx, appends)
	return refusal(err)
}

// appends are the appends of an entry, and what they expect.
func (b *Book) appends(e Entry, cause string) ([]eventstream.StreamAppend, error) {
	sum := int64(0)
	event := func(eventType string, data any) eventstream.NewEvent {
		return eventstream.NewEvent{Type: eventType, Data: data, OccurredAt: e.Date, CorrelationID: e.ID, CausationID: cause}
	}
	appends := []eventstream.StreamAppend{
		{Stream: period(e.Date.Format("2006-01")), Expect: eventstream.Exact(1)}, // only checked
		{Stream: entryStream(e.ID), Expect: eventstream.NoStream, Events: []eventstream.NewEvent{event("EntryRecorded", entryRecorded{e.Text, e.Lines})}},
	}
	at := map[string]int{}
	for _, l := range e.Lines {
		sum += l.Cents
		i, ok := at[l.Account]
		if !ok {
			i = len(appends)
			at[l.Account] = i
			appends = append(appends, eventstream.StreamAppend{Stream: account(l.Account), Expect: eventstream.StreamExists})
		}
		appends[i].Events = append(appends[i].Events, event("Posted", posted{e.ID, l.Cents}))
	}
	if sum != 0 || len(e.Lines) < 2 {
		return nil, fmt.Errorf("%w by %d cents", ErrUnbalanced, sum)
	}
	return appends, nil
}

// refusal says in the book's words which expectation did not hold.
func refusal(err error) error {
	conflict, ok := errors.AsType[*eventstream.ConflictError](err)
	if !ok {
		return err
	}
	switch stream := string(conflict.Stream); {
	case strings.HasPrefix(stream, "finance-period-"):
		return ErrPeriodClosed
	case strings.HasPrefix(stream, "finance-account-"):
		return fmt.Errorf("%w: %s", ErrNoAccount, strings.TrimPrefix(stream, "finance-account-"))
	case conflict.Expected == eventstream.Exact(1):
		return ErrReversed
	default:
		return err // an entry of that id is there
	}
}

// Balance is a trial balance: what each account stands at.
type Balance []Line

// TrialBalance returns the balance of what had been booked for days up to at. All accounts
// are read at one head, so it is never one of half an entry.
func (b *Book) TrialBalance(ctx context.Context, at time.Time) (balance Balance, err error) {
	err = b.DB.Read(ctx, func(r *eventstream.Reader) error {
		for stream, err := range r.Streams(ctx, "finance-account-") {
			if err != nil {
				return err
			}
			line := Line{Account: strings.TrimPrefix(string(stream.Stream), "finance-account-")}
			for ev, err := range r.ReadStream(ctx, stream.Stream, eventstream.OccurredUntil(at)) {
				if err != nil {
					return err
				}
				var p posted
				if ev.Type != "Posted" {
					continue
				}
				if err := ev.Decode(&p); err != nil {
					return err
				}
				line.Cents += p.Cents
			}
			balance = append(balance, line)
		}
		return nil
	})
	return balance, err
}

// Sum is zero.
func (b Balance) Sum() (cents int64) {
	for _, l := range b {
		cents += l.Cents
	}
	return cents
}

// String writes the balance as a table.
func (b Balance) String() string {
	var s strings.Builder
	slices.SortFunc(b, func(x, y Line) int { return strings.Compare(x.Account, y.Account) })
	for _, l := range b {
		fmt.Fprintf(&s, "  %-6s %10s\n", l.Account, money(l.Cents))
	}
	fmt.Fprintf(&s, "  %-6s %10s\n", "sum", money(b.Sum()))
	return s.String()
}

func money(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s%d.%02d", sign, cents/100, cents%100)
}
