package engine

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Tables are written by what may take its time; the log is not.
func TestTablesGiveWay(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	ed := newEdge(&Config{FS: mem, Logger: slog.New(slog.DiscardHandler)}, func(vfs.DiskSlowInfo) {})
	for name, want := range map[string]bool{"000001.sst": true, "000001.log": false, "MANIFEST-000001": false} {
		f, err := ed.fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, gives := f.(givingFile); gives != want {
			t.Errorf("%s gives way: %v, want %v", name, gives, want)
		}
		if _, err := f.Write([]byte(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := mem.Stat(name); err != nil || info.Size() != int64(len(name)) {
			t.Errorf("%s: what was written is not there: %v, %v", name, info, err)
		}
	}
	if err := ed.health.Close(); err != nil {
		t.Error(err)
	}
}
