package engine

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func TestASurveyTellsWhatLiesBesideTheDatabase(t *testing.T) {
	t.Parallel()
	path := established(t)
	put(t, path+"/STORE.2", "x")
	put(t, path+"/HWM.tmp", "")
	put(t, path+"/CREATING", "")
	put(t, path+".partial-1", "")
	put(t, path+"-other.partial-1", "")
	d, err := OpenDirectory(DirectoryConfig{Path: path, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDirectory(t, d)
	s, err := d.Survey()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{d.Path + ".partial-1", d.Path + "/CREATING", d.Path + "/HWM.tmp"}
	if !slices.Equal(s.BadIdentities, []string{"STORE.2"}) || s.Mark != MarkMissing || !slices.Equal(s.Leftovers, want) || s.TotalBytes == 0 || s.FreeBytes > s.TotalBytes {
		t.Errorf("got %+v, want STORE.2, no mark, %v, and the disk's size", s, want)
	}
}

func TestASurveyPassesFaultsOfTheFileSystem(t *testing.T) {
	t.Parallel()
	d := memDirectory(t, vfs.NewMem())
	d.fs = errorfs.Wrap(d.fs, errorfs.InjectorFunc(func(errorfs.Op) error { return syscall.EIO }))
	if _, err := d.Survey(); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want the file system's error", err)
	}
}
