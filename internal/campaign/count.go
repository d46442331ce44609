package campaign

import (
	"encoding/json"
	"os"
	"testing"
)

// CountsVariable names the environment variable with the path of the file that
// [Count] and [Exception] append to. Without it they only log.
const CountsVariable = "EVENTSTREAM_COUNTS"

// Kind is something that is counted over all tests of a run.
type Kind string

// What is counted.
const (
	CrashPoints Kind = "crash points"              // power failures of which the store that was left was verified
	FaultPoints Kind = "fault points"              // operations that failed, and the store verified after
	Damages     Kind = "flips or truncations"      // changed bytes, cut files, files lost or swapped
	KillRounds  Kind = "SIGKILL rounds"            // processes killed at a random moment
	Histories   Kind = "linearizability histories" // concurrent histories that were checked
	ModelCases  Kind = "model cases"               // random histories compared with the reference model
)

// Kinds lists them in the order in which they are printed.
func Kinds() []Kind {
	return []Kind{CrashPoints, FaultPoints, Damages, KillRounds, Histories, ModelCases}
}

// Note is one line of the file of counts.
type Note struct {
	Test      string `json:"test"`
	Kind      Kind   `json:"kind,omitempty"`
	Exception string `json:"exception,omitempty"` // one that docs/RELIABILITY.md lists
	N         int    `json:"n"`
}

// Count says that the test did n of a kind.
func Count(t testing.TB, kind Kind, n int) {
	t.Helper()
	t.Logf("%d %s", n, kind)
	note(t, Note{Test: t.Name(), Kind: kind, N: n})
}

// Exception says that n of the cases ended in a loss that nothing on the disk can show.
// Each must be one that docs/RELIABILITY.md lists under the same name.
func Exception(t testing.TB, name string, n int) {
	t.Helper()
	if n == 0 {
		return
	}
	t.Logf("%d of the listed exception %q", n, name)
	note(t, Note{Test: t.Name(), Exception: name, N: n})
}

// note appends a line in one write, since several processes do so at a time.
func note(t testing.TB, n Note) {
	t.Helper()
	path := os.Getenv(CountsVariable)
	if path == "" {
		return
	}
	line, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
