package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream/keys"
)

const memStore = "store"

// memDirectory returns the directory of a new store in fs.
func memDirectory(t *testing.T, fs vfs.FS) *Directory {
	t.Helper()
	d, err := OpenDirectory(DirectoryConfig{FS: fs, Path: memStore})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Establish(anIdentity()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDirectory(t, d) })
	return d
}

func putMem(t *testing.T, fs vfs.FS, path string, content []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(content)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func getMem(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	content, err := readFile(fs, path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func aMark(position keys.Position) Mark {
	return Mark{Incarnation: anIdentity().Incarnation, Position: position, Sum: uint64(position) * 7, Clean: position%2 == 0}
}

// markFileOf returns the content of a mark file that holds two marks.
func markFileOf(first, second []byte) []byte {
	content := make([]byte, markFileLen)
	copy(content, first)
	copy(content[markSecond:], second)
	return content
}

// wantMark reads the mark as the next opening does.
func wantMark(t *testing.T, d *Directory, what string, want Mark, wantState MarkState) {
	t.Helper()
	got, state, err := d.MarkFile().Read()
	if err != nil || state != wantState || got != want {
		t.Errorf("%s: got %+v, %v, %v, want %+v, %v", what, got, state, err, want, wantState)
	}
}

func TestTheMarkOnDiskIsPinned(t *testing.T) {
	t.Parallel()
	got := fmt.Sprintf("%x", Mark{Incarnation: keys.EventID{4, 5, 6}, Position: 0x0102, Sum: 0xa1b2, Clean: true}.encode(3))
	const want = "455348574d000001" + "0000000000000003" + "04050600000000000000000000000000" +
		"0000000000000102" + "000000000000a1b2" + "0100000000000000"
	if got[:112] != want || len(got) != 128 {
		t.Errorf("got %s, want %s and a sum of 8 bytes", got, want)
	}
	if fileMark != "HWM" || markSecond != 4096 {
		t.Errorf("the file is %s, its second slot at %d, want HWM and 4096", fileMark, markSecond)
	}
}

func TestMarksAreWrittenInTurn(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	d := memDirectory(t, mem)
	f := d.MarkFile()
	for position := keys.Position(1); position <= 5; position++ {
		if err := f.Write(aMark(position)); err != nil {
			t.Fatal(err)
		}
		wantMark(t, d, "after each write", aMark(position), MarkSound)
		content := getMem(t, mem, "store/HWM")
		if len(content) != markFileLen {
			t.Fatalf("the file has %d bytes, want %d", len(content), markFileLen)
		}
		// The slot before is as it was.
		for slot, at := range []int{0, markSecond} {
			mark, sequence, ok := parseMark(content[at : at+markLen])
			want := position - (position-1+keys.Position(slot))%2
			if want == 0 {
				if ok {
					t.Errorf("slot %d holds %+v before anything was written there", slot, mark)
				}
				continue
			}
			if !ok || mark != aMark(want) || sequence != uint64(want) {
				t.Errorf("after %d writes slot %d holds %+v, %d, %v, want the one of position %d", position, slot, mark, sequence, ok, want)
			}
		}
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Errorf("close: %v", err)
	}
	// The next opening goes on where this one ended.
	f = d.MarkFile()
	if _, state, err := f.Read(); state != MarkSound || err != nil {
		t.Fatalf("got %v, %v", state, err)
	}
	if err := errors.Join(f.Write(aMark(6)), f.Close()); err != nil {
		t.Fatal(err)
	}
	wantMark(t, d, "after a reopening", aMark(6), MarkSound)
	if content := getMem(t, mem, "store/HWM"); !bytes.Equal(content[:markLen], aMark(5).encode(5)) {
		t.Error("the newest mark was overwritten by the one after it")
	}
}

func TestWhatIsFoundOfTheMark(t *testing.T) {
	t.Parallel()
	foreign := aMark(9)
	foreign.Incarnation[0]++
	broken := aMark(8).encode(8)
	broken[33] ^= 1
	newerVersion := aMark(8).encode(8)
	newerVersion[7] = 2
	for name, tt := range map[string]struct {
		content []byte
		want    Mark
		state   MarkState
	}{
		"both sound, the first newer":    {markFileOf(aMark(5).encode(9), aMark(4).encode(8)), aMark(5), MarkSound},
		"both sound, the second newer":   {markFileOf(aMark(3).encode(7), aMark(4).encode(8)), aMark(4), MarkSound},
		"the sequence counts alone":      {markFileOf(aMark(3).encode(9), aMark(4).encode(8)), aMark(3), MarkSound},
		"the first bad":                  {markFileOf(broken, aMark(4).encode(3)), aMark(4), MarkSound},
		"the second bad":                 {markFileOf(aMark(4).encode(3), broken), aMark(4), MarkSound},
		"the second not there":           {aMark(4).encode(3), aMark(4), MarkSound},
		"the second cut":                 {markFileOf(aMark(4).encode(3), aMark(5).encode(4))[:markFileLen-1], aMark(4), MarkSound},
		"more behind":                    {append(markFileOf(aMark(4).encode(3), nil), 1, 2, 3), aMark(4), MarkSound},
		"both bad":                       {markFileOf(broken, broken), Mark{}, MarkDamaged},
		"empty":                          {nil, Mark{}, MarkDamaged},
		"zeros":                          {make([]byte, markFileLen), Mark{}, MarkDamaged},
		"of a version to come":           {markFileOf(newerVersion, nil), Mark{}, MarkDamaged},
		"foreign":                        {markFileOf(foreign.encode(1), foreign.encode(2)), Mark{}, MarkForeign},
		"one foreign, one bad":           {markFileOf(foreign.encode(1), broken), Mark{}, MarkForeign},
		"one bad, one foreign":           {markFileOf(broken, foreign.encode(1)), Mark{}, MarkForeign},
		"one foreign and newer, a sound": {markFileOf(foreign.encode(99), aMark(2).encode(1)), aMark(2), MarkSound},
		"a sound, one foreign and newer": {markFileOf(aMark(2).encode(1), foreign.encode(99)), aMark(2), MarkSound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewMem()
			d := memDirectory(t, mem)
			putMem(t, mem, "store/HWM", tt.content)
			wantMark(t, d, "read", tt.want, tt.state)
			if got := getMem(t, mem, "store/HWM"); !bytes.Equal(got, tt.content) {
				t.Error("reading changed the file")
			}
			// Whatever was there, a new mark is the one that counts from then on.
			f := d.MarkFile()
			if _, _, err := f.Read(); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Write(aMark(20)), f.Close()); err != nil {
				t.Fatal(err)
			}
			wantMark(t, d, "written anew", aMark(20), MarkSound)
		})
	}
}

func TestANewStoreHasNoMark(t *testing.T) {
	t.Parallel()
	d := memDirectory(t, vfs.NewMem())
	wantMark(t, d, "before the first", Mark{}, MarkMissing)
	for state, want := range map[MarkState]string{
		MarkMissing: "missing", MarkDamaged: "damaged", MarkForeign: "of another store", MarkSound: "sound",
	} {
		if got := state.String(); got != want {
			t.Errorf("state %d: got %q, want %q", state, got, want)
		}
	}
}

// The mark of a new store is asked for before the store has an identity.
func TestAMarkFileThatIsOlderThanTheIdentity(t *testing.T) {
	t.Parallel()
	d, err := OpenDirectory(DirectoryConfig{FS: vfs.NewMem(), Path: memStore})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDirectory(t, d)
	f := d.MarkFile()
	if err := d.Establish(anIdentity()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Write(aMark(1)), f.Close()); err != nil {
		t.Fatal(err)
	}
	wantMark(t, d, "after Establish", aMark(1), MarkSound)
}

// A write that is torn, at whatever byte and with whatever in the rest of the slot,
// leaves the mark before it, or is the new one whole.
func TestATornMarkLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	d := memDirectory(t, mem)
	older, before, after := aMark(3).encode(3), aMark(4).encode(4), aMark(5).encode(5)
	for n := 0; n <= markLen; n++ {
		zeros, garbage := make([]byte, markLen), bytes.Repeat([]byte{0xa5}, markLen)
		for what, rest := range map[string][]byte{"the older mark": older, "zeros": zeros, "garbage": garbage} {
			torn := slices.Concat(after[:n], rest[n:])
			want := aMark(4)
			if bytes.Equal(torn, after) {
				want = aMark(5)
			}
			putMem(t, mem, "store/HWM", markFileOf(torn, before))
			wantMark(t, d, fmt.Sprintf("%d bytes, then %s", n, what), want, MarkSound)
		}
	}
}

func TestEveryFlippedBitOfAMarkIsSeen(t *testing.T) {
	t.Parallel()
	for bit := range markLen * 8 {
		b := aMark(4).encode(4)
		b[bit/8] ^= 1 << (bit % 8)
		if m, _, ok := parseMark(b); ok {
			t.Errorf("bit %d: got %+v from a damaged mark", bit, m)
		}
	}
	if _, _, ok := parseMark(aMark(4).encode(4)[:markLen-1]); ok {
		t.Error("a mark without its last byte was taken")
	}
}

// A mark whose sync fails is not trusted and not counted: the next goes to the same
// slot, through a new descriptor, and the one before stays whole throughout.
// A mark that was written is there after a power failure.
func TestAMarkSurvivesACrash(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	d := memDirectory(t, mem)
	f := d.MarkFile()
	for position := keys.Position(1); position <= 4; position++ {
		if err := f.Write(aMark(position)); err != nil {
			t.Fatal(err)
		}
		crashed := mem.CrashClone(vfs.CrashCloneCfg{})
		mark, state, err := (&MarkFile{fs: crashed, store: d}).Read()
		if err != nil || state != MarkSound || mark != aMark(position) {
			t.Errorf("got %+v, %v, %v, want the mark of position %d", mark, state, err, position)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestAMarkThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	t.Parallel()
	failures := 0
	for n := int64(1); ; n++ {
		mem := vfs.NewMem()
		var count, failAt atomic.Int64
		faulty := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if strings.Contains(op.Path, fileMark) && count.Add(1) == failAt.Load() {
				return syscall.EIO
			}
			return nil
		}))
		d := memDirectory(t, faulty)
		f := d.MarkFile()
		count.Store(0)
		failAt.Store(n)
		var newest keys.Position
		for position := keys.Position(1); position <= 4; position++ {
			err := f.Write(aMark(position))
			if err == nil {
				newest = position
			} else if failures++; !errors.Is(err, syscall.EIO) {
				t.Errorf("operation %d: got error %v, want the file system's", n, err)
			}
		}
		if err := f.Close(); err != nil && !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
		mark, state, err := (&MarkFile{fs: mem, store: d}).Read()
		// One whose sync failed may be there: what it marks is durable all the same.
		if err != nil || state != MarkSound || mark.Position < newest || mark != aMark(mark.Position) {
			t.Errorf("operation %d: got %+v, %v, %v, want position %d or the one after it", n, mark, state, err, newest)
		}
		if count.Load() < n {
			break
		}
	}
	if failures < 8 {
		t.Errorf("only %d writes failed", failures)
	}
}

func TestAMarkThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	d := memDirectory(t, mem)
	putMem(t, mem, "store/HWM", markFileOf(aMark(1).encode(1), nil))
	for _, want := range []error{syscall.EIO, os.ErrPermission} {
		faulty := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error { return want }))
		_, state, err := (&MarkFile{fs: faulty, store: d}).Read()
		if !errors.Is(err, want) || state == MarkMissing || state == MarkSound {
			t.Errorf("got %v, %v, want %v: it is not known what the mark says", state, err, want)
		}
	}
}
