package eventstream

import "time"

// AppendResult says where the events of one append to one stream stand.
type AppendResult struct {
	Stream        StreamID
	FirstVersion  Version // of the first event; 0 if the stream was only checked
	LastVersion   Version // of the last event
	FirstPosition Position
	LastPosition  Position
	EventIDs      []EventID // in order, also those that the store made
	RecordedAt    time.Time // in UTC
	// Deduplicated says that these events were in the store already, from an earlier
	// append with the same ids and content, and that nothing was written.
	Deduplicated bool
}

// CommitResult says where the events of one append to several streams stand.
type CommitResult struct {
	Streams       []AppendResult // as in the call
	FirstPosition Position
	LastPosition  Position
	RecordedAt    time.Time
	Deduplicated  bool
}
