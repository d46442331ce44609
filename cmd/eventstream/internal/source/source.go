// Package source says what an import reads, whatever the file format: records,
// grouped into the blocks that are appended as one commit, and what is wrong with
// the ones that cannot be read.
package source

import (
	"fmt"

	"github.com/nexus-erp/eventstream"
)

// Record is one event of a file.
type Record struct {
	Line   int // where it begins, from 1
	Stream eventstream.StreamID
	// Ordinal tells the record apart from all others of its stream in the file. It
	// counts bad records as well, so that to mend them changes no other's.
	Ordinal int
	Expect  eventstream.Expected // 0: whatever the stream holds
	Event   eventstream.NewEvent // its Data is a codec.Encoded; its ID may be zero
}

// Block is a run of records that are appended as one commit.
type Block struct {
	Records []Record
}

// Decoder reads a file block by block. After a [*BadRecord] the next call goes on
// behind it; any other error ends the file, and io.EOF ends it well.
type Decoder interface {
	Next() (Block, error)
}

// BadRecord is a part of a file that cannot be an event, while what follows can
// still be read.
type BadRecord struct {
	File   string // filled in by the importer
	Line   int    // where the fault is, from 1
	Field  string // what is at fault, or ""
	Reason string // what is wrong, and how to mend it
	Events int    // how many events it stands for: those that are not loaded because of it
	Err    error  // the cause, if another error says more
}

// Error says where, what and why.
func (e *BadRecord) Error() string { return at(e.File, e.Line, e.Field, e.Reason) }

// Unwrap returns the cause.
func (e *BadRecord) Unwrap() error { return e.Err }

// SyntaxError is a file that cannot be read from a line on: what follows cannot be
// told apart any more.
type SyntaxError struct {
	File   string // filled in by the importer
	Line   int
	Field  string
	Reason string
	Err    error
}

// Error says where, what and why.
func (e *SyntaxError) Error() string { return at(e.File, e.Line, e.Field, e.Reason) }

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }

func at(file string, line int, field, reason string) string {
	where := fmt.Sprintf("line %d", line)
	if file != "" {
		where = fmt.Sprintf("%s:%d", file, line)
	}
	if field != "" {
		where += ": " + field
	}
	return where + ": " + reason
}
