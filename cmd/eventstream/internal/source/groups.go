package source

import (
	"fmt"
	"slices"

	"github.com/nexus-erp/eventstream"
)

// LooseBlock is how many records without a commit of their own are appended as
// one: enough that the time is not spent on waiting for the disk.
const LooseBlock = 500

// Groups makes blocks of records that come one by one, each with the commit that
// the file says it belongs to, or none.
//
// Consecutive records of one commit are one block, whole or not at all: a bad
// record takes its commit with it, and a record that cannot even be read takes the
// commits next to it, since it may belong to either.
//
// Records without a commit are loose. They are put together as far as that changes
// nothing but the speed: a block ends at each multiple of the loose size in the
// file, so that another run cuts alike, and where a stream comes again after
// another one, since the events of one stream stand together in a commit and would
// otherwise leave the order of the file.
type Groups struct {
	Queue
	loose int

	open     bool   // a block is being gathered
	commit   string // its commit, or "": it is loose
	line     int    // where it begins
	records  []Record
	count    int  // its records, also those not kept
	size     int  // their bytes
	broken   bool // it must not load
	tooLarge bool // it cannot load
	until    int  // of a loose block: the last ordinal that it may hold
	suspect  bool // the record before could not be read
}

// NewGroups returns groups that put up to loose records without a commit together.
func NewGroups(loose int) *Groups { return &Groups{loose: loose} }

// Add adds a good record, whose ordinal counts all records of the file, from 1.
func (g *Groups) Add(commit string, r Record) {
	if !g.open || g.commit != commit || commit == "" && g.looseEnds(&r) {
		g.Finish()
		g.begin(commit, r.Ordinal, r.Line)
	}
	g.suspect = false
	g.count++
	g.size += r.Size()
	g.tooLarge = commit != "" && (g.count > MaxBlockEvents || g.size > MaxBlockBytes)
	if g.broken || g.tooLarge {
		g.records = nil // they are only counted from here on
		return
	}
	g.records = append(g.records, r)
	if commit == "" && r.Ordinal == g.until {
		g.Finish() // someone may wait for it
	}
}

// Bad adds a record that is not good. known reports whether commit could be read.
func (g *Groups) Bad(commit string, known bool, ordinal int, err *BadRecord) {
	mine := g.open && g.commit != "" && (!known || g.commit == commit)
	if !mine {
		g.Finish()
	}
	g.Fail(err) // before what Finish says: the cause comes first
	switch {
	case mine:
		g.broken, g.records = true, nil
		if !known {
			g.Finish()
		}
	case known && commit != "":
		g.begin(commit, ordinal, err.Line)
		g.broken = true
	}
	g.suspect = !known
}

func (g *Groups) begin(commit string, ordinal, line int) {
	g.open, g.commit, g.line = true, commit, line
	g.records, g.count, g.size = nil, 0, 0
	g.broken, g.tooLarge = g.suspect && commit != "", false
	g.until = (ordinal-1)/g.loose*g.loose + g.loose
}

// looseEnds reports whether the loose block at hand ends before r.
func (g *Groups) looseEnds(r *Record) bool {
	if r.Ordinal > g.until || g.size+r.Size() > MaxBlockBytes/2 || r.Expect != 0 || g.records[0].Expect != 0 {
		return true
	}
	last := g.records[len(g.records)-1].Stream
	return r.Stream != last && slices.ContainsFunc(g.records, func(o Record) bool { return o.Stream == r.Stream })
}

// Finish ends the block at hand: the file ends, or something else begins.
func (g *Groups) Finish() {
	if !g.open {
		return
	}
	g.open = false
	if g.count == 0 { // all its records were bad, and said so
		return
	}
	fail := func(line int, field, format string, args ...any) {
		g.Fail(&BadRecord{Line: line, Field: field, Reason: fmt.Sprintf(format, args...), Events: g.count})
	}
	if g.broken {
		fail(g.line, "commit", "commit %s is left out whole: a record of it, or next to it, is broken", g.commit)
		return
	}
	if g.tooLarge {
		fail(g.line, "commit", "commit %s has %d events and %d bytes, one append takes %d and %d: make several commits of it",
			g.commit, g.count, g.size, MaxBlockEvents, MaxBlockBytes)
		return
	}
	ordered, late := byStream(g.records)
	if late != nil {
		fail(late.Line, "expect", "belongs to the first event of stream %q in its commit", late.Stream)
		return
	}
	g.Queue.Add(ordered)
}

// byStream puts the records of one stream together, in their order, streams in the
// order of their first record. late is a record that expects a version although it
// is not the first of its stream.
func byStream(records []Record) (ordered []Record, late *Record) {
	place := make(map[eventstream.StreamID]int)
	for i := range records {
		if _, ok := place[records[i].Stream]; !ok {
			place[records[i].Stream] = len(place)
		} else if records[i].Expect != 0 {
			return nil, &records[i]
		}
	}
	slices.SortStableFunc(records, func(a, b Record) int { return place[a.Stream] - place[b.Stream] })
	return records, nil
}
