package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// found gathers what Salvage tells.
type found struct {
	keys    map[string]int
	damaged []string
	fails   error
}

func (f *found) Record(key, _ []byte) error {
	f.keys[string(key)]++
	return f.fails
}

func (f *found) Damaged(file string, _ error) { f.damaged = append(f.damaged, file) }

func salvage(t *testing.T, fs vfs.FS) *found {
	t.Helper()
	w, err := OpenWreck(fs, memStore)
	if err != nil {
		t.Fatal(err)
	}
	f := &found{keys: map[string]int{}}
	if err := errors.Join(w.Salvage(ctx, f), w.Close()); err != nil {
		t.Fatal(err)
	}
	return f
}

// Salvage reads every record without the manifest; around a damaged block it reads what
// lies before and behind.
func TestSalvageReadsAroundDamage(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 3, 2000)
	e := openDatabase(t, databaseConfig(mem))
	if err := write(e, batchOf(e, "in the log", "x")); err != nil {
		t.Fatal(err)
	}
	if err := e.Sync(ctx, 0); err != nil {
		t.Fatal(err)
	}
	crashed := copyOf(t, mem)
	whole := salvage(t, crashed)
	if len(whole.damaged) > 0 || len(whole.keys) < 6000 || whole.keys["in the log"] == 0 {
		t.Fatalf("got %d keys, damaged %v", len(whole.keys), whole.damaged)
	}
	for name := range filesOf(t, crashed, memStore) {
		if strings.Contains(name, "MANIFEST-") {
			if err := crashed.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if again := salvage(t, crashed); len(again.keys) != len(whole.keys) {
		t.Errorf("without a manifest: got %d keys, want %d", len(again.keys), len(whole.keys))
	}

	table := tablesIn(t, crashed)[0]
	content := getMem(t, crashed, table)
	content[len(content)/3] ^= 1
	putMem(t, crashed, table, content)
	part := salvage(t, crashed)
	lost := len(whole.keys) - len(part.keys)
	if len(part.damaged) != 1 || !strings.HasSuffix(table, part.damaged[0]) || lost == 0 || lost > 1900 {
		t.Errorf("one block damaged: %d keys lost, damaged %v", lost, part.damaged)
	}
	putMem(t, crashed, table, content[:len(content)/2])
	if gone := salvage(t, crashed); len(gone.damaged) != 1 || len(gone.keys) < 4000 {
		t.Errorf("a table without its end: %d keys, damaged %v", len(gone.keys), gone.damaged)
	}
}

func TestSalvageEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 2, 50)
	w, err := OpenWreck(mem, memStore)
	if err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("no room")
	if err := w.Salvage(ctx, &found{keys: map[string]int{}, fails: refusal}); !errors.Is(err, refusal) {
		t.Errorf("got %v, want what Record returned", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := w.Salvage(canceled, &found{keys: map[string]int{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of ctx", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// A batch that can be read shows what it holds on top of the database; a snapshot shows
// neither it nor what came later.
func TestReadersSeeTheirOwnMoment(t *testing.T) {
	t.Parallel()
	e := openDatabase(t, Config{FS: vfs.NewMem(), Dir: "db", Create: true, CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
	first := e.NewBatch()
	for key, value := range map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"} {
		first.Set([]byte(key), []byte(value))
	}
	if err := write(e, first); err != nil {
		t.Fatal(err)
	}
	snapshot, err := e.NewSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	batch, reader := e.NewIndexedBatch()
	batch.Set([]byte("a"), []byte("10"))
	batch.Delete([]byte("b"))
	batch.DeleteRange([]byte("c"), []byte("d"))
	if got := list(t, reader, "a", "z"); got != "a10 d4 " {
		t.Errorf("the batch reads %q", got)
	}
	if value, ok, err := reader.Get(nil, []byte("a")); err != nil || !ok || string(value) != "10" {
		t.Errorf("the batch reads %q, %v, %v", value, ok, err)
	}
	if err := e.WriteAndWait(batch); err != nil {
		t.Fatal(err)
	}
	if got := list(t, snapshot, "a", "z"); got != "a1 b2 c3 d4 " {
		t.Errorf("the snapshot reads %q", got)
	}
	after, err := e.NewSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, after, "a", "z"); got != "a10 d4 " {
		t.Errorf("afterwards: %q", got)
	}
	if err := errors.Join(snapshot.Close(), after.Close()); err != nil {
		t.Fatal(err)
	}
}
