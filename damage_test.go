package eventstream_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// image is the files of a store, by path below its directory.
type image map[string][]byte

// specimen is a store that is to be damaged.
type specimen struct {
	Name  string
	Files image // as it is
	Older image // the same store some time before: what a lost write leaves
	// Damages is what is done to it, one at a time.
	Damages []damage
	// Events is the number of events in it; Marked the position up to which the high-water
	// mark must know them.
	Events, Marked eventstream.Position
}

// specimens are a store that was closed, and one that was not: the power failed.
func specimens(t *testing.T) []specimen {
	t.Helper()
	commits := split(purchases(t), 20)[:70]
	cut := len(commits) * 6 / 10

	mem := vfs.NewMem()
	db := openSpecimen(t, mem)
	appendCommits(t, db, commits[:cut])
	mustClose(t, db)
	older := imageOf(t, mem)
	db = openSpecimen(t, mem)
	appendCommits(t, db, commits[cut:])
	mustClose(t, db)
	closed := specimen{Name: "closed", Files: imageOf(t, mem), Older: older}
	db = openSpecimen(t, mem)
	closed.Events = db.Head()
	closed.Marked = closed.Events
	mustClose(t, db)

	mem = vfs.NewCrashableMem()
	for path, content := range older {
		writeMem(t, mem, path, content)
	}
	db = openSpecimen(t, mem)
	marked := appendCommits(t, db, commits[cut:len(commits)-4])
	if err := eventstream.WriteMark(db); err != nil {
		t.Fatal(err)
	}
	head := appendCommits(t, db, commits[len(commits)-4:])
	crashed := specimen{
		Name: "crashed", Files: imageOf(t, mem.CrashClone(vfs.CrashCloneCfg{})), Older: older, Events: head, Marked: marked,
	}
	mustClose(t, db)
	return []specimen{closed, crashed}
}

// smallSpecimen is a store with a few events in a table, and one in the log.
func smallSpecimen(t *testing.T) specimen {
	t.Helper()
	mem := vfs.NewCrashableMem()
	db := openSpecimen(t, mem)
	appendSmall(t, db, 0, 4)
	mustClose(t, db)
	older := imageOf(t, mem)
	db = openSpecimen(t, mem)
	appendSmall(t, db, 4, 8)
	mustClose(t, db)
	db = openSpecimen(t, mem)
	appendSmall(t, db, 8, 9)
	if err := eventstream.WriteMark(db); err != nil {
		t.Fatal(err)
	}
	s := specimen{Name: "small", Files: imageOf(t, mem.CrashClone(vfs.CrashCloneCfg{})), Older: older, Events: 9, Marked: 9}
	mustClose(t, db)
	return s
}

func appendSmall(t testing.TB, db *eventstream.DB, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		mustAppend(t, db, eventstream.StreamID(fmt.Sprintf("s-s-%d", i%3)), eventstream.Any, withID(id(i+1), "Happened"))
	}
}

// everyBit lists, of the files that decide what a store holds and are read whole, each
// bit flipped and each length that they may be cut to.
func everyBit(s *specimen) (all []damage) {
	for _, path := range slices.Sorted(mapKeys(s.Files)) {
		switch fileKind(path) {
		case "manifest", "marker", "STORE", "STORE.2", "HWM":
		default:
			continue
		}
		for at := range s.Files[path] {
			all = append(all, damage{What: "cut", File: path, At: at})
			for bit := range uint8(8) {
				all = append(all, damage{What: "flip", File: path, At: at, Bit: bit})
			}
		}
	}
	return all
}

func specimenOptions(fs vfs.FS) *eventstream.Options {
	return &eventstream.Options{
		FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20, TailBytes: 64 << 10,
		Unstable: eventstream.Unstable{RunEvents: 50},
	}
}

func openSpecimen(t testing.TB, fs vfs.FS) *eventstream.DB {
	t.Helper()
	db, err := eventstream.Open("store", specimenOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// appendCommits appends them and waits until their runs are sealed.
func appendCommits(t testing.TB, db *eventstream.DB, commits [][]eventstream.StreamAppend) (head eventstream.Position) {
	t.Helper()
	for _, c := range commits {
		head = mustAppendAll(t, db, c...).LastPosition
	}
	if !eventstream.AwaitSealed(db, head-100) {
		t.Fatal("the specimen was not sealed")
	}
	return head
}

// imageOf reads all files of the store, but for the lock.
func imageOf(t testing.TB, fs *vfs.MemFS) image {
	t.Helper()
	files := make(image)
	var walk func(dir, below string)
	walk = func(dir, below string) {
		names, err := fs.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			path := fs.PathJoin(dir, name)
			info, err := fs.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.IsDir() {
				walk(path, below+name+"/")
				continue
			}
			if files[below+name], err = contentOf(fs, path); err != nil {
				t.Fatal(err)
			}
		}
	}
	walk("store", "")
	return files
}

func writeMem(t testing.TB, fs *vfs.MemFS, path string, content []byte) {
	t.Helper()
	path = "store/" + path
	if err := fs.MkdirAll(fs.PathDir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(content)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for dir := fs.PathDir(path); ; dir = fs.PathDir(dir) {
		d, err := fs.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			t.Fatal(err)
		}
		if dir == fs.PathDir(dir) {
			return
		}
	}
}

// damage is one thing that happens to one file.
type damage struct {
	What string // flip, cut, delete, zero, older, swap
	File string
	At   int    // flip, zero: the offset; cut: the new size
	Bit  uint8  // flip
	With string // swap: the other file
}

func (d damage) String() string {
	switch d.What {
	case "flip":
		return fmt.Sprintf("bit %d of byte %d of %s flipped", d.Bit, d.At, d.File)
	case "cut":
		return fmt.Sprintf("%s cut to %d bytes", d.File, d.At)
	case "zero":
		return fmt.Sprintf("512 bytes from %d of %s zeroed", d.At, d.File)
	case "older":
		return fmt.Sprintf("%s as it was some time before", d.File)
	case "swap":
		return fmt.Sprintf("%s and %s exchanged", d.File, d.With)
	case "rollback":
		return "the whole store as it was some time before"
	default:
		return fmt.Sprintf("%s: %s", d.File, d.What)
	}
}

// apply returns the files with the damage done.
func (d damage) apply(s *specimen) image {
	files := make(image, len(s.Files))
	for path, content := range s.Files {
		files[path] = content
	}
	content := bytes.Clone(files[d.File])
	switch d.What {
	case "flip":
		content[d.At] ^= 1 << d.Bit
		files[d.File] = content
	case "cut":
		files[d.File] = content[:d.At]
	case "zero":
		clear(content[d.At:min(d.At+512, len(content))])
		files[d.File] = content
	case "empty":
		files[d.File] = nil
	case "delete":
		delete(files, d.File)
	case "older":
		files[d.File] = s.Older[d.File]
	case "swap":
		files[d.File], files[d.With] = files[d.With], files[d.File]
	case "rollback":
		return s.Older
	}
	return files
}

// damages lists about n damages, the same for the same specimen: every file is
// deleted, emptied, put back to what it was, and exchanged with the next of its kind;
// the rest is flips, cuts and zeroed sectors on a grid, more of them in larger files.
func damages(s *specimen, n int) []damage {
	var files []string
	for path := range s.Files {
		if filepath.Base(path) != "lock" && filepath.Base(path) != "LOCK" {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	all := []damage{{What: "rollback"}}
	weight := 0
	for i, path := range files {
		all = append(all, damage{What: "delete", File: path}, damage{What: "empty", File: path})
		if before, ok := s.Older[path]; ok && !bytes.Equal(before, s.Files[path]) {
			all = append(all, damage{What: "older", File: path})
		}
		if i > 0 && filepath.Ext(files[i-1]) == filepath.Ext(path) && filepath.Dir(files[i-1]) == filepath.Dir(path) {
			all = append(all, damage{What: "swap", File: files[i-1], With: path})
		}
		weight += gridWeight(len(s.Files[path]))
	}
	rng := rand.New(rand.NewPCG(11, uint64(n)))
	left := n - len(all)
	for _, path := range files {
		size := len(s.Files[path])
		if size == 0 {
			continue
		}
		points := max(left*gridWeight(size)/weight, 3)
		for p := range points {
			at := min(p*size/points+rng.IntN(size/points+1), size-1)
			switch {
			case p%8 == 3:
				all = append(all, damage{What: "cut", File: path, At: at})
			case p%8 == 7:
				all = append(all, damage{What: "zero", File: path, At: at / 512 * 512})
			default:
				all = append(all, damage{What: "flip", File: path, At: at, Bit: uint8(rng.IntN(8))})
			}
		}
	}
	for len(all) < n { // what rounding left
		path := files[rng.IntN(len(files))]
		if size := len(s.Files[path]); size > 0 {
			all = append(all, damage{What: "flip", File: path, At: rng.IntN(size), Bit: uint8(rng.IntN(8))})
		}
	}
	return all
}

// gridWeight makes small files, which matter most, count for more than their size.
func gridWeight(size int) int {
	switch {
	case size == 0:
		return 0
	case size < 4<<10:
		return 3
	case size < 64<<10:
		return 4
	default:
		return 6
	}
}

// verdict is what became of a damaged store.
type verdict struct {
	Index   int
	Outcome string
	Detail  string
}

// The outcomes, the good ones first.
const (
	outcomeExact    = "exact"                     // everything is there: harmless, or repaired
	outcomeRefused  = "refused, salvaged whole"   // a typed error, nothing changed, and salvage gives every event
	outcomeLost     = "refused, salvaged in part" // likewise, but for what it names
	outcomeSalvage  = "salvage is wrong"
	outcomeReported = "opened, reported"  // what is damaged is an error where it is read, and verify names it
	outcomeListed   = "listed exception"  // nobody can know: see docs/RELIABILITY.md
	outcomeVerify   = "only verify tells" // a read gave less than it should without an error
	outcomeSilent   = "SILENT LOSS"       // nothing tells
	outcomeUntyped  = "untyped error"
	outcomeChanged  = "refused, and changed"
	outcomeHang     = "hangs"
	outcomeDeath    = "the process ended"
)

// Whatever single thing happens to a store's files, it is repaired exactly, refused by
// name with everything else salvaged, or reported where it is read: never a shorter
// store that says it is healthy.
func TestDamageIsRepairedOrReported(t *testing.T) {
	t.Parallel()
	total := campaign.Scale(t, campaign.Cases{Short: 40, PullRequest: 2_100, Nightly: 10_000})
	both := specimens(t)
	tried := tryDamages(t, both, func(s *specimen) []damage { return damages(s, total/len(both)) })
	if tried < total {
		t.Errorf("%d damages were tried, want %d", tried, total)
	}
}

// The same for each bit of the files that decide what there is, and every length that
// they may be cut to, in a store that is as small as a store can be.
func TestEveryBitOfASmallStoreIsRepairedOrReported(t *testing.T) {
	t.Parallel()
	step := campaign.Scale(t, campaign.Cases{Short: 97, PullRequest: 3, Nightly: 1})       // 3: of every byte
	markStep := campaign.Scale(t, campaign.Cases{Short: 997, PullRequest: 17, Nightly: 1}) // most of the mark is room
	tryDamages(t, []specimen{smallSpecimen(t)}, func(s *specimen) (all []damage) {
		for i, d := range everyBit(s) {
			if d.File != "HWM" && i%step == 0 || d.File == "HWM" && i%markStep == 0 {
				all = append(all, d)
			}
		}
		return all
	})
}

// tryDamages does to each specimen what list says, one damage at a time, and judges what
// the store makes of it. It returns how many were tried.
func tryDamages(t *testing.T, specimens []specimen, list func(*specimen) []damage) (tried int) {
	t.Helper()
	dir := campaign.QuickDir(t)
	counts := make(map[string]map[string]int)
	exceptions := make(map[string]int)
	var mu sync.Mutex
	for i := range specimens {
		s := &specimens[i]
		s.Damages = list(s)
		path := filepath.Join(dir, s.Name)
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		workers := runtime.GOMAXPROCS(0)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				damageWorker(t, damageTask{Path: path, First: w, Stride: workers}, len(s.Damages), func(v verdict) {
					mu.Lock()
					defer mu.Unlock()
					tried++
					d := s.Damages[v.Index]
					kind := d.What + " " + fileKind(d.File)
					if counts[v.Outcome] == nil {
						counts[v.Outcome] = make(map[string]int)
					}
					counts[v.Outcome][kind]++
					switch v.Outcome {
					case outcomeExact, outcomeRefused, outcomeLost, outcomeReported:
					case outcomeListed:
						if d.What == "rollback" {
							exceptions[campaign.RolledBack]++
						} else {
							exceptions[campaign.LostEnd]++
						}
					default:
						t.Errorf("%s store, %v: %s: %s", s.Name, d, v.Outcome, v.Detail)
					}
				})
			})
		}
		wg.Wait()
	}
	for _, outcome := range slices.Sorted(mapKeys(counts)) {
		n := 0
		var kinds []string
		for kind, k := range counts[outcome] {
			n += k
			kinds = append(kinds, fmt.Sprintf("%s %d", kind, k))
		}
		slices.Sort(kinds)
		t.Logf("%5d %s: %s", n, outcome, strings.Join(kinds, ", "))
	}
	campaign.Count(t, campaign.Damages, tried)
	for name, n := range exceptions {
		campaign.Exception(t, name, n)
	}
	return tried
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// fileKind groups files for the summary.
func fileKind(path string) string {
	name := filepath.Base(path)
	switch {
	case strings.HasSuffix(name, ".sst"):
		return "table"
	case strings.HasSuffix(name, ".log"):
		return "log"
	case strings.HasPrefix(name, "MANIFEST"):
		return "manifest"
	case strings.HasPrefix(name, "OPTIONS"):
		return "options"
	case strings.HasPrefix(name, "marker"):
		return "marker"
	case path == "":
		return "store"
	default:
		return name
	}
}

// damageWorker has children try the damages of a task, a new one where one died.
func damageWorker(t *testing.T, task damageTask, n int, judged func(verdict)) {
	for task.First < n {
		next := task.First
		death, err := startChild(damageRole, task, func(v verdict) {
			judged(v)
			next = v.Index + task.Stride
		})
		switch {
		case err != nil:
			t.Errorf("from damage %d on: %v", next, err)
			return
		case death != "":
			judged(verdict{Index: next, Outcome: outcomeDeath, Detail: death})
			next += task.Stride
		}
		task.First = next
	}
}
