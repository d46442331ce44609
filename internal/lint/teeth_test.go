package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// source is a file that keeps every rule, with more declarations.
func source(pkg, imports, body string) string {
	return fmt.Sprintf("// Package %s is commented.\npackage %s\n\nimport (\n%s\n)\n\n%s\n", pkg, pkg, imports, body)
}

func quoted(paths ...string) string {
	var b strings.Builder
	for _, p := range paths {
		fmt.Fprintf(&b, "\t%q\n", p)
	}
	return b.String()
}

func TestViolationsAreFound(t *testing.T) {
	t.Parallel()
	own := func(dir string) string { return quoted(module + "/" + dir) }
	for _, tt := range []struct {
		name string
		file string
		src  string
		want string // empty: no violation
	}{
		{"keys may import ULID", "keys/a.go", source("keys", quoted("fmt", ulid, xxhash), ""), ""},
		{"keys may not import codec", "keys/a.go", source("keys", own("codec"), ""), "keys/a.go:5: package keys may not import codec"},
		{"keys may not import root", "keys/a.go", source("keys", quoted(module), ""), "keys may not import ."},
		{"nor may its tests", "keys/a_test.go", source("keys", quoted(module), ""), "keys may not import ."},
		{"nor another module", "keys/a.go", source("keys", quoted(zstd), ""), "keys may not import github.com/klauspost"},
		{"codec may import keys and zstd", "codec/a.go", source("codec", own("keys")+quoted(msgpack, zstd), ""), ""},
		{"cursor stands alone", "cursor/a.go", source("cursor", own("keys"), ""), "cursor may not import keys"},
		{"snapshot may import codec", "snapshot/a.go", source("snapshot", own("codec"), ""), ""},
		{"snapshot may not import the engine", "snapshot/a.go", source("snapshot", own("internal/engine"), ""), "snapshot may not import internal/engine"},
		{"the engine may import Pebble", "internal/engine/a.go", source("engine", quoted(pebble, pebble+"/vfs", pebble+"/sstable"), ""), ""},
		{"the engine may not import codec", "internal/engine/a.go", source("engine", own("codec"), ""), "internal/engine may not import codec"},
		{"the index may import the engine", "internal/index/a.go", source("index", own("internal/engine"), ""), ""},
		{"but not a segment", "internal/index/a.go", source("index", own("internal/segment"), ""), "internal/index may not import internal/segment"},
		{"root may import the engine", "db.go", source("eventstream", own("internal/engine"), ""), ""},
		{"root may not import projections", "db.go", source("eventstream", own("projection"), ""), "package . may not import projection"},
		{"root may not import Pebble", "db.go", source("eventstream", quoted(pebble), ""), "Pebble stays in internal/engine"},
		{"its options may, as vfs", "options.go", source("eventstream", quoted(pebble+"/vfs"), ""), ""},
		{"but not as more", "options.go", source("eventstream", quoted(pebble), ""), "Pebble stays in"},
		{"nor another package's options", "projection/options.go", source("projection", quoted(pebble+"/vfs"), ""), "Pebble stays in"},
		{"projection may import root", "projection/a.go", source("projection", quoted(module), ""), ""},
		{"but not aggregate", "projection/a.go", source("projection", own("aggregate"), ""), "projection may not import aggregate"},
		{"nor the engine", "projection/a.go", source("projection", own("internal/engine"), ""), "projection may not import internal/engine"},
		{"aggregate may import snapshot", "aggregate/a.go", source("aggregate", own("snapshot"), ""), ""},
		{"publish may not", "publish/a.go", source("publish", own("snapshot"), ""), "publish may not import snapshot"},
		{"httpapi may import projection", "httpapi/ui/a.go", source("ui", own("projection"), ""), ""},
		{"but not the command", "httpapi/a.go", source("httpapi", own("cmd/eventstream"), ""), "httpapi may not import cmd/eventstream"},
		{"estest may import vfs", "estest/a.go", source("estest", quoted(pebble+"/vfs"), ""), ""},
		{"bench may import Pebble", "bench/a.go", source("bench", quoted(pebble, hdr), ""), ""},
		{"the command may import Pebble's tool", "cmd/eventstream/a.go", source("main", quoted(pebble+"/tool", "github.com/spf13/cobra"), ""), ""},
		{"but not its store", "cmd/eventstream/a.go", source("main", quoted(pebble), ""), "Pebble stays in"},
		{"a new folder needs a row", "helpers/a.go", source("helpers", "", ""), "folder helpers is not in the table"},
		{"so does a new internal one", "internal/stuff/a.go", source("stuff", "", ""), "folder internal/stuff is not in the table"},
		{"cgo is refused", "db.go", source("eventstream", quoted("C"), ""), "without a C compiler"},
		{"testify is refused", "db_test.go", source("eventstream", quoted("github.com/stretchr/testify/require"), ""), "import of testify"},
		{"rapid is for tests", "codec/a.go", source("codec", quoted("pgregory.net/rapid"), ""), "codec may not import pgregory.net/rapid"},
		{"where it is welcome", "codec/a_test.go", source("codec", quoted("pgregory.net/rapid"), ""), ""},
		{"another test library is not", "codec/a_test.go", source("codec", quoted("github.com/onsi/gomega"), ""), "codec may not import github.com/onsi/gomega"},

		{"800 lines are enough", "keys/a.go", source("keys", "", strings.Repeat("\n", 792)), ""},
		{"801 are not", "keys/a.go", source("keys", "", strings.Repeat("\n", 793)), "file has 801 lines, at most 800"},
		{"a test may have 1,200", "keys/a_test.go", source("keys", "", strings.Repeat("\n", 1192)), ""},
		{"but not 1,201", "keys/a_test.go", source("keys", "", strings.Repeat("\n", 1193)), "at most 1200"},

		{"a package needs a comment", "keys/a.go", "package keys\n", "package keys has no package comment"},
		{"a function needs one", "keys/a.go", source("keys", "", "func F() {}"), "exported F has no comment"},
		{"with its name first", "keys/a.go", source("keys", "", "// Does things.\nfunc F() {}"), "does not start with its name"},
		{"not another name", "keys/a.go", source("keys", "", "// Fine is another.\nfunc F() {}"), "does not start with its name"},
		{"as here", "keys/a.go", source("keys", "", "// F does things.\nfunc F() {}"), ""},
		{"a method needs one", "keys/a.go", source("keys", "", "// T is one.\ntype T struct{}\nfunc (*T) M() {}"), "exported M has no comment"},
		{"a generic one too", "keys/a.go", source("keys", "", "// T is one.\ntype T[A, B any] struct{}\nfunc (*T[A, B]) M() {}"), "exported M has no comment"},
		{"a hidden type's does not", "keys/a.go", source("keys", "", "type t struct{}\nfunc (t) M() {}"), ""},
		{"a type needs one", "keys/a.go", source("keys", "", "type T int"), "exported T has no comment"},
		{"a type of a group needs its own", "keys/a.go", source("keys", "", "// Types.\ntype (\n\tT int\n)"), "exported T has no comment"},
		{"a constant needs one", "keys/a.go", source("keys", "", "const C = 1"), "exported C has no comment"},
		{"or one of its group", "keys/a.go", source("keys", "", "// The constants.\nconst (\n\tC = 1\n)"), ""},
		{"a program's need none", "cmd/x/a.go", source("main", "", "func F() {}"), ""},

		{"os.Exit is for programs", "db.go", source("eventstream", quoted("os"), "func f() { os.Exit(1) }"), "os.Exit in a library"},
		{"under any name", "db.go", source("eventstream", "\tx \"os\"", "func f() { x.Exit(1) }"), "os.Exit in a library"},
		{"where it is welcome", "cmd/x/a.go", source("main", quoted("os"), "func f() { os.Exit(1) }"), ""},
		{"log.Fatal is for programs", "db.go", source("eventstream", quoted("log"), "func f() { log.Fatalf(\"\") }"), "log.Fatalf in a library"},
		{"fmt.Println is for programs", "db.go", source("eventstream", quoted("fmt"), "func f() { fmt.Println() }"), "fmt.Println in a library"},
		{"fmt.Sprint is not", "db.go", source("eventstream", quoted("fmt"), "func f() { fmt.Sprint() }"), ""},
		{"panic with a text", "db.go", source("eventstream", "", "func f() { panic(\"x\") }"), "panic with a text"},
		{"with a sum of texts", "db.go", source("eventstream", "", "func f(s string) { panic((\"x\" + s)) }"), "panic with a text"},
		{"with a formatted one", "db.go", source("eventstream", quoted("fmt"), "func f() { panic(fmt.Sprintf(\"x\")) }"), "panic with a text"},
		{"with a value that is caught again", "db.go", source("eventstream", "", "func f(v signal) { panic(v) }"), ""},
		{"in a test", "db_test.go", source("eventstream", "", "func f() { panic(\"x\") }"), ""},
		{"the wall clock", "append.go", source("eventstream", quoted("time"), "func f() { _ = time.Now() }"), "take the time from Options.Clock"},
		{"as a value", "append.go", source("eventstream", quoted("time"), "var f = time.Now"), "take the time from Options.Clock"},
		{"in the default of the clock", "options.go", source("eventstream", quoted("time"), "func f() { _ = time.Now }"), ""},
		{"in another options.go", "aggregate/options.go", source("aggregate", quoted("time"), "func f() { _ = time.Now }"), "take the time from Options.Clock"},
		{"where time is measured", "bench/a.go", source("bench", quoted("time"), "func f() { _ = time.Now() }"), ""},
		{"another package's Now", "append.go", source("eventstream", "\ttime \"example\"", "func f() { _ = time.Now() }"), ""},
		{"sleeping in a test", "db_test.go", source("eventstream", quoted("time"), "func f() { time.Sleep(1) }"), "time.Sleep in a test"},
		{"init", "db.go", source("eventstream", "", "func init() {}"), "init() runs unasked"},
		{"a method of that name", "db.go", source("eventstream", "", "func (t) init() {}"), ""},
		{"work left for later", "db.go", source("eventstream", "", "// TODO: more.\n"), `comment has "TODO"`},
		{"a path of one machine", "db.go", source("eventstream", "", "// See /tmp/x.\n"), `comment has "/tmp/"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := parse(tt.file, tt.src)
			if err != nil {
				t.Fatal(err)
			}
			got := check([]*file{f})
			if tt.want == "" {
				if len(got) > 0 {
					t.Errorf("found %q, want nothing", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0], tt.want) || !strings.HasPrefix(got[0], tt.file+":") {
				t.Errorf("found %q, want one with %q", got, tt.want)
			}
		})
	}
}

func TestOnePackageCommentIsEnough(t *testing.T) {
	t.Parallel()
	var files []*file
	for name, src := range map[string]string{
		"keys/a.go":       "package keys\n",
		"keys/b.go":       "// Package keys has one.\npackage keys\n",
		"codec/a.go":      "package codec\n",
		"codec/a_test.go": "// Package codec has one in a test alone.\npackage codec\n",
	} {
		f, err := parse(name, src)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	got := check(files)
	if want := []string{"codec/a.go:1: package codec has no package comment"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestEveryRoomIsNamedOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range rooms {
		if seen[r.dir] {
			t.Errorf("room %s has two rows, want one", r.dir)
		}
		seen[r.dir] = true
		for _, dir := range r.own {
			if dir != anything && !slices.ContainsFunc(rooms, func(r room) bool { return r.dir == dir }) {
				t.Errorf("room %s may import %s, which is no room", r.dir, dir)
			}
		}
	}
}
