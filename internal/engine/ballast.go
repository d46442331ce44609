package engine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// How the ballast comes about.
const (
	ballastDelay = 30 * time.Second // after Open, or after it was released
	ballastStep  = 16 << 20         // bytes a tick
	ballastRoom  = 4                // times its size must be free above the soft mark
)

// BallastBytes is the size of the ballast: one more log, and the append on its way.
func BallastBytes(memTableBytes, appendBytes int64) int64 {
	return walBytes(memTableBytes) + appendBytes
}

// ballast is a file that is there to be removed. The marks keep appends from filling
// the disk, but others may fill it; then the operation that finds no room removes the
// ballast and is tried once more, so that the log, which could not go on, does.
//
// It is written slowly, some time after Open, so that a program that opens a store for
// a moment does not pay for it, and with random bytes, so that no file system stores
// less than it says. It is safe for concurrent use.
type ballast struct {
	fs   vfs.FS // the one below OnDiskFull
	path string
	want int64

	mu      sync.Mutex
	file    vfs.File // while it is being written
	size    int64    // what it takes on disk
	done    bool
	notFrom time.Time // when it may be begun
}

// newBallast finds the ballast that is there.
func newBallast(fs vfs.FS, dir string, want int64, now time.Time) *ballast {
	b := &ballast{fs: fs, want: want, notFrom: now.Add(ballastDelay)}
	if dir == "" {
		return b
	}
	b.path = fs.PathJoin(dir, fileBallast)
	if info, err := fs.Stat(b.path); err == nil {
		b.size = info.Size()
		b.done = b.size >= want
	}
	return b
}

// release removes the ballast, and returns how many bytes that freed.
func (b *ballast) release(now time.Time) (freed int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notFrom = now.Add(ballastDelay)
	return b.removeLocked()
}

func (b *ballast) removeLocked() (freed int64) {
	b.closeLocked()
	if b.path == "" || b.size == 0 {
		return 0
	}
	if err := b.fs.Remove(b.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0
	}
	freed, b.size, b.done = b.size, 0, false
	return freed
}

func (b *ballast) closeLocked() {
	if b.file != nil {
		_ = b.file.Close() // its content does not matter
		b.file = nil
	}
}

// grow writes the next step of the ballast, if it is time and free bytes are room
// enough above the soft mark.
func (b *ballast) grow(now time.Time, free, soft uint64) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done || b.path == "" || now.Before(b.notFrom) || free < soft+ballastRoom*uint64(b.want) {
		return nil
	}
	defer func() {
		if err != nil {
			b.removeLocked()
			b.notFrom = now.Add(ballastDelay)
			err = fmt.Errorf("write ballast: %w", err)
		}
	}()
	if b.file == nil {
		if b.file, err = b.fs.Create(b.path, vfs.WriteCategoryUnspecified); err != nil {
			return err
		}
		b.size = 0
	}
	noise := make([]byte, 1<<20)
	for step := min(ballastStep, b.want-b.size); step > 0; {
		n := min(int64(len(noise)), step)
		_, _ = rand.Read(noise[:n]) // never fails
		written, err := b.file.Write(noise[:n])
		b.size += int64(written)
		step -= int64(written)
		if err != nil {
			return err
		}
	}
	if b.size < b.want {
		return nil
	}
	err = b.file.Sync()
	b.closeLocked()
	b.done = err == nil
	return err
}

// stop gives up a ballast that is half written: it would be written anew.
func (b *ballast) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil {
		b.removeLocked()
	}
}

// bytes returns what the ballast takes on disk.
func (b *ballast) bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size
}
