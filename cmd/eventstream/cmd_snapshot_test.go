package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
	"github.com/nexus-erp/eventstream/snapshot"
)

// newSnapshots returns a store with snapshots at versions 1 to 4 of order-1 and 1 of
// order-2.
func newSnapshots(t *testing.T) *program {
	t.Helper()
	p := newStore(t)
	for range 4 {
		p.must("append", "order-1", "T")
	}
	p.must("append", "order-2", "T")
	db, err := eventstream.Open(p.dir, &eventstream.Options{Clock: p.env.now})
	if err != nil {
		t.Fatal(err)
	}
	for n, stream := range []eventstream.StreamID{"order-1", "order-1", "order-1", "order-1", "order-2"} {
		s := snapshot.Snapshot{
			Stream: stream, Version: eventstream.Version(n%4 + 1), Fingerprint: 255, Codec: codec.JSON, State: []byte(strings.Repeat(" ", 100) + "1"),
			OccurredUntil: testNow, Algorithm: snapshot.XXHash64, Compression: snapshot.Zstd,
		}
		if err := db.SaveSnapshot(p.ctx, s, 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// damageSnapshot writes something else over a snapshot.
func (p *program) damageSnapshot(stream eventstream.StreamID, version eventstream.Version) {
	p.t.Helper()
	eng, err := engine.Open(engine.Config{Dir: filepath.Join(p.dir, "db")})
	if err != nil {
		p.t.Fatal(err)
	}
	b := eng.NewBatch()
	b.Set(keys.AppendSnapshot(nil, 1, stream, version), []byte("x"))
	if err := eng.SubmitAndWait(p.ctx, b, 0); err != nil {
		p.t.Fatal(err)
	}
	if err := eng.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// listed returns "stream@version" of each snapshot, damaged ones with a mark.
func (p *program) listed(args ...string) string {
	p.t.Helper()
	var all []string
	for _, s := range lines[snapshotRecord](p.t, p.must(append([]string{"snapshot", "list"}, args...)...)) {
		text := fmt.Sprintf("%s@%d", s.Stream, s.Version)
		if !s.OK {
			text += "!"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestSnapshotsAreListed(t *testing.T) {
	t.Parallel()
	p := newSnapshots(t)
	if got, want := p.listed(), "order-1@4 order-1@3 order-1@2 order-1@1 order-2@1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := p.listed("order-2"); got != "order-2@1" {
		t.Errorf("got %s", got)
	}
	if got := p.listed("--tenant", "acme"); got != "" {
		t.Errorf("another tenant: got %s", got)
	}
	s := lines[snapshotRecord](t, p.must("snapshot", "list", "order-2"))[0]
	if s.Bytes < 64 || s.Bytes > 120 {
		t.Errorf("%d bytes, want those of the record, packed", s.Bytes)
	}
	s.Bytes = 0
	const at = "2026-03-01T12:00:00Z"
	want := snapshotRecord{
		Stream: "order-2", Version: 1, Position: 5, StateBytes: 101, Codec: "json", Compression: "zstd", Algorithm: "xxhash64",
		Fingerprint: "00000000000000ff", OccurredUntil: at, RecordedUntil: at, TakenAt: at, OK: true,
	}
	if s != want {
		t.Errorf("got %+v\nwant %+v", s, want)
	}
	p.damageSnapshot("order-1", 3)
	if got, want := p.listed("order-1"), "order-1@4 order-1@3! order-1@2 order-1@1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSnapshotsAreVerified(t *testing.T) {
	t.Parallel()
	p := newSnapshots(t)
	report := decode[snapshotReport](t, p.must("snapshot", "verify"))
	if !report.OK || report.Snapshots != 5 || report.Streams != 2 || report.Bytes < 5*64 || len(report.Problems) > 0 {
		t.Errorf("got %+v", report)
	}
	p.damageSnapshot("order-1", 3)
	r := p.run("snapshot", "verify")
	report = decode[snapshotReport](t, r.stdout)
	if r.code != exitDamage || report.OK || len(report.Problems) != 1 || report.Problems[0].Stream != "order-1" || report.Problems[0].Version != 3 || !strings.Contains(report.Problems[0].Detail, "not a snapshot") {
		t.Errorf("got exit code %d, %+v", r.code, report)
	}
	p.must("snapshot", "verify", "order-2")
	whole := decode[verifyReport](t, p.run("verify").stdout)
	if len(whole.Problems) != 1 || whole.Problems[0].Kind != eventstream.ProblemSnapshot || whole.Problems[0].Version != 3 {
		t.Errorf("verify: got %+v", whole)
	}
	found := p.doctor(exitWarnings)
	if len(found) != 1 || found[0].Severity != severityWarning || !strings.Contains(found[0].What, "1 snapshots are damaged") || !strings.Contains(found[0].Fix, "snapshot prune") {
		t.Errorf("doctor: got %+v", found)
	}
}

func TestSnapshotsArePruned(t *testing.T) {
	t.Parallel()
	p := newSnapshots(t)
	p.damageSnapshot("order-1", 3)
	p.fails(exitUsage, "--keep 0 is less than 1", "snapshot", "prune", "--keep", "0", "--yes")
	p.fails(exitUsage, "nobody agreed", "snapshot", "prune", "--keep", "1")
	if got := p.must("snapshot", "prune", "order-1", "--keep", "2", "--yes"); got != `{"streams":1,"deleted":2}`+"\n" {
		t.Errorf("got %s", got)
	}
	if got, want := p.listed(), "order-1@4 order-1@2 order-2@1"; got != want {
		t.Errorf("left: got %s, want %s", got, want)
	}
	if found := p.doctor(exitOK); len(found) > 0 {
		t.Errorf("doctor: got %+v", found)
	}
	if got := p.must("snapshot", "prune", "--yes"); got != `{"streams":0,"deleted":0}`+"\n" {
		t.Errorf("got %s", got)
	}

	// On a terminal it asks.
	terminal := *p
	terminal.env.stdinTTY = true
	for _, no := range []string{"", "n\n", "\n", "perhaps\n"} {
		r := terminal.with(no).run("snapshot", "prune", "--keep", "1")
		if r.code != exitUsage || !strings.Contains(r.stderr, "all but the newest 1 snapshots of each stream will be deleted. Go on? [y/N]") || !strings.Contains(r.stderr, "nobody agreed") {
			t.Errorf("answer %q: got exit code %d, %s", no, r.code, r.stderr)
		}
	}
	if got := p.listed(); got != "order-1@4 order-1@2 order-2@1" {
		t.Errorf("left: got %s", got)
	}
	if got := terminal.with("Yes\n").must("snapshot", "prune", "--keep", "1", "-o", "json"); got != `{"streams":1,"deleted":1}`+"\n" {
		t.Errorf("got %s", got)
	}
	if got := p.listed(); got != "order-1@4 order-2@1" {
		t.Errorf("left: got %s", got)
	}
}
