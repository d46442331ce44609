package main

import (
	"errors"
	"iter"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
)

// eventColumns are what tables of events show.
var eventColumns = []string{"position", "stream", "version", "type", "occurred_at", "data"}

// listEvents writes events and returns how many there were. An error ends the list
// well formed.
func listEvents(list *render.List, events iter.Seq2[eventstream.Event, error]) (n int, err error) {
	defer func() { err = errors.Join(err, list.Close()) }()
	var buf []byte
	for ev, err := range events {
		if err != nil {
			return n, err
		}
		buf = eventline.AppendView(buf[:0], &ev)
		if err := list.Add(buf); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
