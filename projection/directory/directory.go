package directory

import (
	"iter"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
)

// Entry is what is known of a stream.
type Entry struct {
	Category        string               `msgpack:"category"` // "" if the name has none
	FirstPosition   eventstream.Position `msgpack:"first_position"`
	LastPosition    eventstream.Position `msgpack:"last_position"`
	Version         eventstream.Version  `msgpack:"version"` // of the last event
	Events          uint64               `msgpack:"events"`  // that the projection took; as many as Version if it takes all
	LastType        string               `msgpack:"last_type"`
	FirstOccurredAt projection.Time      `msgpack:"first_occurred_at"` // the earliest
	LastOccurredAt  projection.Time      `msgpack:"last_occurred_at"`  // the latest
	LastRecordedAt  projection.Time      `msgpack:"last_recorded_at"`
}

// Records returns how the records of a directory are read: by the names of streams.
func Records() projection.Records[eventstream.StreamID, Entry] {
	return projection.NewRecords[eventstream.StreamID, Entry]("", projection.TextKey[eventstream.StreamID]())
}

// Definition returns a directory called name, which several workers may rebuild at once.
// Whoever registers it may narrow it to types or a category.
func Definition(name string) projection.Definition {
	keys := func(e eventstream.Event) ([]eventstream.StreamID, error) {
		return []eventstream.StreamID{e.Stream}, nil
	}
	fold := func(stream eventstream.StreamID, before *Entry, e eventstream.Event) (*Entry, error) {
		at := projection.TimeOf(e.OccurredAt)
		next := Entry{Category: stream.Category(), FirstPosition: e.Position, FirstOccurredAt: at, LastOccurredAt: at}
		if before != nil {
			next = *before
		}
		next.LastPosition, next.Version, next.LastType = e.Position, e.Version, e.Type
		next.Events++
		next.FirstOccurredAt = min(next.FirstOccurredAt, at)
		next.LastOccurredAt = max(next.LastOccurredAt, at)
		next.LastRecordedAt = projection.TimeOf(e.RecordedAt)
		return &next, nil
	}
	return projection.Definition{Name: name, Keyed: Records().Keyed(keys, fold), PartitionedByStream: true}
}

// Entries returns the streams whose names begin with prefix, by name. An error is the
// last item.
func Entries(r projection.Reader, prefix string) iter.Seq2[projection.Record[eventstream.StreamID, Entry], error] {
	return Records().UnderText(r, "", 0, prefix)
}
