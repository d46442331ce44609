package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A store whose manifest is damaged opens for nobody; salvage reads it whole, and an
// import makes a store of it again.
func TestSalvageReadsAStoreThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	var lines strings.Builder
	for n := range 300 {
		fmt.Fprintf(&lines, `{"stream":"stock-item-%d","type":"Counted","data":{"n":%d}}`+"\n", n%7, n)
	}
	p.env.stdin = strings.NewReader(lines.String())
	p.must("append", "-")
	p.must("append", "a-b-1", "T", "--tenant", "acme")
	want := p.must("export")
	manifests, err := filepath.Glob(filepath.Join(p.dir, "db", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatal(manifests, err)
	}
	for _, path := range manifests {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[20] ^= 4
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.fails(exitDamage, "export --salvage", "info")
	got := p.run("export", "--salvage")
	if got.code != exitOK || got.stdout != want {
		t.Errorf("got exit code %d, %d bytes, want %d bytes:\n%s", got.code, len(got.stdout), len(want), got.stderr)
	}
	if !strings.Contains(got.stderr, "300 events written, 1 of other tenants") {
		t.Errorf("got %q", got.stderr)
	}
	p.fails(exitUsage, "leave --from out", "export", "--salvage", "--from", "3")

	file := filepath.Join(t.TempDir(), "left.jsonl")
	p.must("export", "--salvage", "--out", file)
	again := newStore(t)
	again.must("import", "--format", "jsonl", file)
	if got := again.must("export"); got != want && len(got) != len(want) {
		t.Errorf("got %d bytes after the import, want %d", len(got), len(want))
	}
}

// What is gone is named, with an exit code of its own.
func TestSalvageNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	for range 3 {
		p.must("append", "a-b-1", "T")
	}
	for _, pattern := range []string{"*.sst", "*.log"} {
		files, err := filepath.Glob(filepath.Join(p.dir, "db", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := p.run("export", "--salvage")
	if got.code != exitDamage || got.stdout != "" || !strings.Contains(got.stderr, "missing: positions 1 to 3") {
		t.Errorf("got exit code %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	p.dir = filepath.Join(p.dir, "nowhere")
	p.fails(exitNotFound, "does not exist", "export", "--salvage")
}
