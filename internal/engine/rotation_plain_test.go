package engine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// rotationVariable makes the test binary rotate a log that cannot be created.
const rotationVariable = "EVENTSTREAM_TEST_PLAIN_ROTATION"

// Plain Pebble ends the process when its next log cannot be created, whatever its
// logger does: no recover catches it. Nothing can be built against that but to keep the
// disk from running full, and to lose nothing: the root package's rotation tests show
// that the reopened store is whole.
func TestPlainPebbleDiesWhenItsLogCannotBeRotated(t *testing.T) {
	t.Parallel()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), rotationVariable+"=1")
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "unlock of unlocked mutex") && !strings.Contains(string(out), "panic") {
		t.Errorf("the process lives (%v): the reserve and the ballast may be smaller:\n%s", err, out)
	}
	if strings.Contains(string(out), "survived") {
		t.Error("a recover caught it: the engine could, too")
	}
}

// rotatePlain is what the child does.
func rotatePlain() {
	full := &fault{}
	fs := full.wrap(vfs.NewMem(), syscall.ENOSPC, func(op errorfs.Op) bool {
		return filepath.Ext(op.Path) == ".log" && (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite)
	})
	db, err := pebble.Open("plain", &pebble.Options{FS: fs, Logger: &returningLogger{}, FormatMajorVersion: PebbleFormat})
	if err == nil {
		err = db.Set([]byte("k"), []byte("v"), pebble.Sync)
	}
	if err != nil {
		fmt.Println("survived: it did not come so far:", err)
		return
	}
	full.armed.Store(true)
	defer func() { fmt.Println("survived:", recover()) }()
	_ = db.Flush()
}
