package eventstream_test

import (
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// onOperation returns fs with a hook that runs once, before the n-th operation that
// changes something.
func onOperation(fs vfs.FS, n int, hook func()) vfs.FS {
	var count atomic.Int64
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && count.Add(1) == int64(n) {
			hook()
		}
		return nil
	}))
}

// logFault makes operations on the log fail while it is armed.
type logFault struct {
	armed atomic.Bool
	kinds map[errorfs.OpKind]bool
	err   error
	hits  atomic.Int64
}

func (f *logFault) wrap(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f.armed.Load() && strings.HasSuffix(op.Path, ".log") && f.kinds[op.Kind] {
			f.hits.Add(1)
			return f.err
		}
		return nil
	}))
}
