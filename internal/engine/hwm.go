package engine

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/keys"
)

// Mark is the high-water mark: a position that was durable once. It is kept beside
// the database, so that a database that came back shorter shows.
type Mark struct {
	Incarnation keys.EventID  // of the store
	Position    keys.Position // durable when the mark was written
	Sum         uint64        // the header's sum of the event there
	Clean       bool          // the store was closed at Position: nothing was left in the log
}

// A mark is a slot of 64 bytes. Numbers are big-endian.
//
//	0               8              16                              32
//	┌───────────────┬───────────────┬───────────────────────────────┐
//	│ "ESHWM"  0, 0, version │ sequence │         incarnation            │
//	├───────────────┼───────────────┼───────────────┬───────────────┤ 32
//	│   position    │  event's sum  │ flags, 7 zero │ xxhash64 of 56│
//	└───────────────┴───────────────┴───────────────┴───────────────┘
//
// There are two, written in turn, far enough apart that no sector and no page holds
// both: a write that is torn leaves the other. The greater sequence counts.
const (
	markMagic   = "ESHWM\x00\x00\x01"
	markLen     = 64
	markSecond  = 4096 // where the second slot is
	markFileLen = markSecond + markLen

	markClean byte = 0x01
)

// MarkState is what was found of the mark.
type MarkState int

// What was found of the mark.
const (
	MarkMissing MarkState = 1 // there is no file
	MarkDamaged MarkState = 2 // no slot is sound
	MarkForeign MarkState = 3 // it is another store's, or from before a restore
	MarkSound   MarkState = 4
)

// String names the state.
func (s MarkState) String() string {
	switch s {
	case MarkMissing:
		return "missing"
	case MarkDamaged:
		return "damaged"
	case MarkForeign:
		return "of another store"
	default:
		return "sound"
	}
}

func (m Mark) encode(sequence uint64) []byte {
	b := append(make([]byte, 0, markLen), markMagic...)
	b = binary.BigEndian.AppendUint64(b, sequence)
	b = append(b, m.Incarnation[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Position))
	b = binary.BigEndian.AppendUint64(b, m.Sum)
	flags := [8]byte{}
	if m.Clean {
		flags[0] = markClean
	}
	b = append(b, flags[:]...)
	return binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
}

func parseMark(b []byte) (m Mark, sequence uint64, ok bool) {
	if len(b) != markLen || string(b[:8]) != markMagic || binary.BigEndian.Uint64(b[56:]) != xxhash.Sum64(b[:56]) {
		return Mark{}, 0, false
	}
	m = Mark{
		Incarnation: keys.EventID(b[16:32]),
		Position:    keys.Position(binary.BigEndian.Uint64(b[32:])),
		Sum:         binary.BigEndian.Uint64(b[40:]),
		Clean:       b[48]&markClean != 0,
	}
	return m, binary.BigEndian.Uint64(b[8:]), true
}

// MarkFile reads and writes the mark of one store. It is safe for concurrent use.
type MarkFile struct {
	fs    vfs.FS
	store *Directory // says whose mark it is; a new store knows only once it is established

	mu       sync.Mutex
	file     vfs.File // open from the first write on
	sequence uint64   // of the newest sound slot
	slot     int      // where it is; 1 if there is none
}

// MarkFile returns the store's mark.
func (d *Directory) MarkFile() *MarkFile {
	return &MarkFile{fs: d.fs, store: d, slot: 1}
}

// Read returns the newest mark. An error is one of the file system.
func (f *MarkFile) Read() (Mark, MarkState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	content, err := readAtMost(f.fs, f.fs.PathJoin(f.store.Path, fileMark), markFileLen)
	if errors.Is(err, os.ErrNotExist) {
		return Mark{}, MarkMissing, nil
	}
	if err != nil {
		return Mark{}, 0, err
	}
	var newest Mark
	state := MarkDamaged
	for slot, at := range [...]int{0, markSecond} {
		if at+markLen > len(content) {
			continue
		}
		mark, sequence, ok := parseMark(content[at : at+markLen])
		if !ok {
			continue
		}
		if mark.Incarnation != f.store.Identity.Incarnation {
			if state == MarkDamaged {
				state = MarkForeign
			}
			continue
		}
		if state != MarkSound || sequence > f.sequence {
			newest, state = mark, MarkSound
			f.sequence, f.slot = sequence, slot
		}
	}
	return newest, state, nil
}

// Write replaces the older of the two marks with m, and syncs it. It costs one sync
// of a file whose size does not change.
func (f *MarkFile) Write(m Mark) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.Incarnation = f.store.Identity.Incarnation
	if f.file == nil {
		if f.file, err = f.open(); err != nil {
			return err
		}
	}
	slot := 1 - f.slot
	_, err = f.file.WriteAt(m.encode(f.sequence+1), int64(slot)*markSecond)
	if err == nil {
		err = f.file.SyncData()
	}
	if err != nil {
		// What the failed sync left in the page cache is no longer trusted.
		err = errors.Join(err, f.file.Close())
		f.file = nil
		return err
	}
	f.sequence, f.slot = f.sequence+1, slot
	return nil
}

// open opens the file, or makes it, without a mark, if there is none.
func (f *MarkFile) open() (vfs.File, error) {
	path := f.fs.PathJoin(f.store.Path, fileMark)
	if _, err := f.fs.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := writeFile(f.fs, f.store.Path, fileMark, make([]byte, markFileLen)); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	return f.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
}

// Close closes the file.
func (f *MarkFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// readAtMost reads the first n bytes of a file, or all if it has less.
func readAtMost(fs vfs.FS, path string, n int64) ([]byte, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, n))
	return content, errors.Join(err, file.Close())
}
