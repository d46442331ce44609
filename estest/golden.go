package estest

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// GoldenFile compares got with the content of a file of the test's package, as
// "testdata/export.golden". A test that defines a flag called update, and is run with
// it, has the file written anew:
//
//	var _ = flag.Bool("update", false, "write the golden files anew")
//
// Line ends of the file may be those of Windows.
func GoldenFile(t testing.TB, path string, got []byte) {
	t.Helper()
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Error(err)
			return
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Error(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v: run the test with -update to write it, and read what it says", err)
		return
	}
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", path, got, want)
	}
}
