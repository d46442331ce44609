package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream/keys"
)

// tablesIn returns the paths of the tables in the database's directory.
func tablesIn(t *testing.T, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.List(path.Join(memStore, dirPebble))
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			tables = append(tables, path.Join(memStore, dirPebble, name))
		}
	}
	slices.Sort(tables)
	return tables
}

func TestCheckTablesPassesASoundDatabase(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 3, 50)
	e := openDatabase(t, databaseConfig(mem))
	if err := e.CheckTables(ctx, 100); err != nil {
		t.Error(err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := e.CheckTables(canceled, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v", err)
	}
}

// Pebble itself opens and serves what is found here: it compares the sizes of tables
// alone.
func TestCheckTablesFindsWhatPebbleDoesNot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		damage func(t *testing.T, fs vfs.FS, tables []string)
		detail string
	}{
		"two tables exchanged": {func(t *testing.T, fs vfs.FS, tables []string) {
			// Pebble would see it if their sizes differed.
			for i, one := range tables {
				for _, other := range tables[i+1:] {
					first, second := getMem(t, fs, one), getMem(t, fs, other)
					if len(first) == len(second) {
						putMem(t, fs, one, second)
						putMem(t, fs, other, first)
						return
					}
				}
			}
			t.Fatal("no two tables have one size")
		}, "another table stands in its place"},
		"a table of zeros": {func(t *testing.T, fs vfs.FS, tables []string) {
			putMem(t, fs, tables[0], make([]byte, len(getMem(t, fs, tables[0]))))
		}, "the table is damaged"},
		"the index zeroed": {func(t *testing.T, fs vfs.FS, tables []string) {
			content := getMem(t, fs, tables[0])
			clear(content[len(content)/2 : len(content)-60])
			putMem(t, fs, tables[0], content)
		}, "the table is damaged"},
		"the first block zeroed": {func(t *testing.T, fs vfs.FS, tables []string) {
			content := getMem(t, fs, tables[0])
			clear(content[:20])
			putMem(t, fs, tables[0], content)
		}, "the table is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewMem()
			database(t, mem, 3, 50)
			tables := tablesIn(t, mem)
			tt.damage(t, mem, tables)
			before := filesOf(t, mem, memStore)
			cfg := databaseConfig(mem)
			cfg.ReadOnly = true
			e := openDatabase(t, cfg) // Pebble sees nothing
			if !e.ReadOnly() {
				t.Error("a database that was opened read-only can be written")
			}
			err := e.CheckTables(ctx, 100)
			damage, ok := errors.AsType[*DamageError](err)
			if !ok || !strings.HasSuffix(damage.File, ".sst") || !strings.HasPrefix(damage.File, "db/") || !strings.Contains(damage.Detail, tt.detail) {
				t.Errorf("got %v (%T), want damage of a table: %s", err, err, tt.detail)
			}
			wantUntouched(t, mem, before)
		})
	}
}

// A table's bounds in the manifest are also those of the ranges that it removes: alone,
// before, behind, or within its records, as flushed and as compacted.
func TestCheckTablesKnowsRemovedRanges(t *testing.T) {
	t.Parallel()
	key := func(n int) []byte { return keys.AppendView(nil, 1, "p", 1, fmt.Appendf(nil, "%04d", n)) }
	mem := vfs.NewMem()
	database(t, mem, 1, 50)
	rng := rand.New(rand.NewPCG(1, 0))
	removing := 0
	for round := range 40 {
		e := openDatabase(t, databaseConfig(mem))
		for range 3 {
			b := e.NewBatch()
			if round%5 > 0 { // else removals alone
				for range rng.IntN(5) {
					b.Set(key(rng.IntN(100)), bytes.Repeat([]byte{byte(round)}, rng.IntN(3000)))
				}
			}
			for range 1 + rng.IntN(3) {
				from := rng.IntN(100)
				b.DeleteRange(key(from), key(from+1+rng.IntN(30)))
			}
			if err := e.SubmitAndWait(ctx, b, 0); err != nil {
				t.Fatal(err)
			}
			if err := e.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if round%4 == 0 {
			if err := e.db.Compact(ctx, key(rng.IntN(50)), key(50+rng.IntN(60)), false); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		cfg := databaseConfig(mem)
		cfg.ReadOnly = true // nothing is compacted away meanwhile
		e = openDatabase(t, cfg)
		if err := e.CheckTables(ctx, 1000); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		tables, err := e.tables()
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			if table.Smallest.Kind() == pebble.InternalKeyKindRangeDelete || table.Largest.Kind() == pebble.InternalKeyKindRangeDelete {
				removing++
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if removing < 10 {
		t.Errorf("%d tables were bounded by a removed range: the test shows little", removing)
	}
}

func TestCheckTablesLooksAtTheNewestFirst(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 2, 50)
	oldest := tablesIn(t, mem)[0]
	putMem(t, mem, oldest, make([]byte, len(getMem(t, mem, oldest))))
	cfg := databaseConfig(mem)
	cfg.ReadOnly = true
	e := openDatabase(t, cfg)
	if err := e.CheckTables(ctx, 1); err != nil {
		t.Errorf("the newest alone: got %v, want no error", err)
	}
	if err := e.CheckTables(ctx, 2); err == nil {
		t.Error("the damaged table was not found")
	}
}

func TestCheckTablesPassesFaultsOfTheFileSystem(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 1, 50)
	e := openDatabase(t, databaseConfig(mem))
	e.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error { return syscall.EIO }))
	err := e.CheckTables(ctx, 1)
	var damage *DamageError
	if !errors.Is(err, syscall.EIO) || errors.As(err, &damage) {
		t.Errorf("got %v, want the file system's error", err)
	}
}

// makeTable writes a table that no manifest knows.
func makeTable(t *testing.T, fs vfs.FS, name string, tableKeys ...[]byte) string {
	t.Helper()
	slices.SortFunc(tableKeys, bytes.Compare)
	var opts pebble.Options
	opts.EnsureDefaults()
	name = path.Join(memStore, dirPebble, name)
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), opts.MakeWriterOptions(0, sstable.TableFormatPebblev4))
	for _, key := range tableKeys {
		if err := w.Set(key, []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func positionKeys(first, last keys.Position) (all [][]byte) {
	for p := first; p <= last; p++ {
		all = append(all, keys.AppendPosition(nil, p))
	}
	return all
}

func TestTablesThatNoManifestKnows(t *testing.T) {
	t.Parallel()
	event := keys.AppendEvent(nil, 1, "order-1", 1)
	for name, tt := range map[string]struct {
		leave func(t *testing.T, fs vfs.FS)
		want  *Leftover
	}{
		"none":                            {func(*testing.T, vfs.FS) {}, nil},
		"one of a flush that did not end": {func(t *testing.T, fs vfs.FS) { makeTable(t, fs, "000999.sst", positionKeys(20, 60)...) }, nil},
		"one that was cut off": {func(t *testing.T, fs vfs.FS) {
			name := makeTable(t, fs, "000999.sst", positionKeys(500, 600)...)
			putMem(t, fs, name, getMem(t, fs, name)[:100])
		}, nil},
		"one of which a crash took a block, and left the end": {func(t *testing.T, fs vfs.FS) {
			name := makeTable(t, fs, "000999.sst", positionKeys(20, 60)...)
			torn := getMem(t, fs, name)
			clear(torn[:40])
			putMem(t, fs, name, torn)
		}, nil},
		"an empty one":     {func(t *testing.T, fs vfs.FS) { putMem(t, fs, "store/db/000999.sst", nil) }, nil},
		"one without keys": {func(t *testing.T, fs vfs.FS) { makeTable(t, fs, "000999.sst") }, nil},
		"one of derived records alone": {func(t *testing.T, fs vfs.FS) {
			makeTable(t, fs, "000999.sst", keys.AppendSeal(nil, 500), keys.AppendSegment(nil, 500), keys.AppendDerived(nil, "state", "x"))
		}, nil},
		"one with positions that the database lacks": {
			func(t *testing.T, fs vfs.FS) { makeTable(t, fs, "000999.sst", positionKeys(90, 107)...) },
			&Leftover{File: "db/000999.sst", Key: keys.AppendPosition(nil, 101), From: 101, To: 107},
		},
		"one with an event that the database lacks": {
			func(t *testing.T, fs vfs.FS) { makeTable(t, fs, "000999.sst", event) },
			&Leftover{File: "db/000999.sst", Key: event},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewMem()
			database(t, mem, 2, 50)
			tt.leave(t, mem)
			found, err := LookBefore(mem, memStore)
			if err != nil {
				t.Fatal(err)
			}
			cfg := databaseConfig(mem)
			cfg.ReadOnly = true
			got, err := openDatabase(t, cfg).CheckLeftovers(ctx, found)
			if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tt.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestCheckLeftoversPassesFaultsAndCancellation(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 1, 50)
	makeTable(t, mem, "000999.sst", positionKeys(1, 3000)...)
	look := func() Preflight {
		found, err := LookBefore(mem, memStore)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	cfg := databaseConfig(mem)
	cfg.ReadOnly = true
	e := openDatabase(t, cfg)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := e.CheckLeftovers(canceled, look()); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v", err)
	}
	e.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error { return syscall.EIO }))
	if _, err := e.CheckLeftovers(ctx, look()); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want the file system's error", err)
	}
}
