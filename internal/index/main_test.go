package index

import (
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openEngine opens an empty database in memory.
func openEngine(t testing.TB) *engine.Engine {
	t.Helper()
	e, err := engine.Open(engine.Config{
		FS: vfs.NewMem(), Dir: "db", Create: true, CacheBytes: 1 << 20, MemTableBytes: 256 << 10,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// tb is what helpers need of a test, and of a case of a property.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// put writes records as they are.
func put(t testing.TB, e *engine.Engine, records map[string][]byte) {
	t.Helper()
	batch := e.NewBatch()
	for key, value := range records {
		batch.Set([]byte(key), value)
	}
	if err := e.WriteAndWait(batch); err != nil {
		t.Fatal(err)
	}
}

// postings is a term's positions, in batches: one record each.
type postings [][]keys.Position

func (p postings) all() []keys.Position { return slices.Concat(p...) }

// write writes them as the indexer does, under the type's name.
func (p postings) write(t tb, e *engine.Engine, tenant keys.TenantID, eventType string) {
	t.Helper()
	var b Builder
	for _, list := range p {
		for _, at := range list {
			if err := b.Add(Type, tenant, "s-s-1", &codec.Envelope{Type: []byte(eventType), Position: at}); err != nil {
				t.Fatal(err)
			}
		}
		batch := e.NewBatch()
		b.Write(batch.Set)
		if err := e.WriteAndWait(batch); err != nil {
			t.Fatal(err)
		}
	}
}

// inSpan returns which of the positions, which rise, a set over the span gives, in the
// order in which it gives them.
func inSpan(all []keys.Position, s Span) []keys.Position {
	var in []keys.Position
	for _, at := range all {
		if s.Low <= at && at <= s.High {
			in = append(in, at)
		}
	}
	if s.Backward {
		slices.Reverse(in)
	}
	return in
}

// firstBeyond is what Seek must find among positions in the order of the span.
func firstBeyond(in []keys.Position, target keys.Position, s Span) (keys.Position, bool) {
	for _, at := range in {
		if at == target || s.Backward && at < target || !s.Backward && at > target {
			return at, true
		}
	}
	return 0, false
}

// walk reads a set from one end of its span to the other.
func walk(t tb, s Set, span Span) (got []keys.Position) {
	t.Helper()
	for target := span.start(); ; {
		at, ok, err := s.Seek(target)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return got
		}
		got = append(got, at)
		if target = at + 1; span.Backward {
			if target = at - 1; target == 0 {
				return got
			}
		}
	}
}

func wantPositions(t tb, what string, got, want []keys.Position) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %d, want %d", what, got, want)
	}
}
