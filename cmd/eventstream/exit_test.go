package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

func TestExplainGivesEachKindOfErrorItsCode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		exit int
		code string
	}{
		{errors.New("anything"), 1, "error"},
		{usagef("how"), 2, "usage"},
		{&eventstream.ArgumentError{Field: "stream", Reason: "x"}, 2, "invalid_argument"},
		{&eventstream.ConflictError{Stream: "s", Expected: eventstream.StreamExists}, 4, "conflict"},
		{&eventstream.DuplicateEventError{}, 4, "duplicate_event"},
		{eventstream.ErrStreamNotFound, 3, "stream_not_found"},
		{eventstream.ErrEventNotFound, 3, "event_not_found"},
		{eventstream.ErrNotExist, 3, "store_not_found"},
		{&eventstream.CorruptionError{What: "event"}, 5, "damage"},
		{&eventstream.HistoryDamagedError{Detail: "x"}, 5, "history_damaged"},
		{&eventstream.BackupError{Reason: "x", Err: &eventstream.CorruptionError{What: "backup"}}, 5, "backup_damaged"},
		{&eventstream.BackupError{Reason: "x", Err: &eventstream.HistoryDamagedError{Detail: "x"}}, 5, "backup_damaged"},
		{&eventstream.BackupError{Reason: "x"}, 1, "backup"},
		{&eventstream.InUseError{Path: "/books"}, 6, "in_use"},
		{context.Canceled, 7, "interrupted"},
		{context.DeadlineExceeded, 7, "timed_out"},
		{&eventstream.CommitUnknownError{Err: context.Canceled}, 7, "commit_unknown"},
		{&eventstream.CommitUnknownError{Err: eventstream.ErrPoisoned}, 1, "commit_unknown"},
		{&eventstream.PoisonedError{Err: errors.New("disk")}, 1, "poisoned"},
		{&eventstream.DiskFullError{Path: "/books", Free: 1, Needed: 2}, 1, "disk_full"},
		{eventstream.ErrExists, 1, "exists"},
		{&eventstream.NotAStoreError{Path: "/", Reason: "x"}, 1, "not_a_store"},
		{&eventstream.FormatError{Found: 9, Supported: 1}, 1, "format_too_new"},
		{&eventstream.LimitError{Field: "Data", Size: 2, Limit: 1, Unit: "bytes"}, 1, "too_large"},
		{eventstream.ErrCodec, 1, "payload"},
		{&source.BadRecord{Line: 1, Err: &eventstream.ArgumentError{}}, 1, "bad_record"},
		{&source.SyntaxError{Line: 1}, 1, "bad_file"},
	} {
		f := explain(fmt.Errorf("in between: %w", tc.err))
		if f.exit != tc.exit || f.code != tc.code || f.message == "" {
			t.Errorf("%v: got exit code %d, %q, message %q, want %d, %q", tc.err, f.exit, f.code, f.message, tc.exit, tc.code)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	env := newProgram(t).env
	for text, want := range map[string]time.Time{
		"now":                       testNow,
		"-15m":                      testNow.Add(-15 * time.Minute),
		"-2h30m":                    testNow.Add(-150 * time.Minute),
		"-7d":                       testNow.AddDate(0, 0, -7),
		"+1h":                       testNow.Add(time.Hour),
		"2026-01-02T03:04:05Z":      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05+01:00": time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC),
	} {
		got, err := parseTime(&env, "--at", text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "-7", "-7days", "15m", "2026-01-02", "2026-01-02T03:04:05"} {
		if got, err := parseTime(&env, "--at", text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}
