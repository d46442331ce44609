package lint

import (
	"slices"
	"strings"
)

// Third-party modules of the table.
const (
	pebble  = "github.com/cockroachdb/pebble/v2"
	msgpack = "github.com/vmihailenco/msgpack/v5"
	ulid    = "github.com/oklog/ulid/v2"
	xxhash  = "github.com/cespare/xxhash/v2"
	zstd    = "github.com/klauspost/compress/zstd"
	hdr     = "github.com/HdrHistogram/hdrhistogram-go"
	apd     = "github.com/cockroachdb/apd/v3"

	porcupine = "github.com/anishathalye/porcupine"
)

// room is a folder of docs/ARCHITECTURE.md and what its code may import: folders
// of this module, and packages of others. A folder stands for those in it too,
// unless they have a row of their own.
type room struct {
	dir    string
	own    []string
	others []string
}

// anything allows every package of other modules, but not Pebble.
const anything = "anything"

// formats are the rooms on the ground floor.
var formats = []string{"keys", "codec", "cursor", "snapshot"}

func with(rooms []string, more ...string) []string { return append(slices.Clone(rooms), more...) }

// rooms is the table of who may import whom. The programs, on top, may import
// everything.
var rooms = []room{
	{"keys", nil, []string{ulid, xxhash}},
	{"codec", []string{"keys"}, []string{msgpack, xxhash, zstd}},
	{"cursor", nil, nil},
	{"snapshot", []string{"codec", "keys"}, []string{xxhash, zstd}},

	{"internal/engine", []string{"keys"}, []string{pebble, xxhash}},
	{"internal/index", []string{"internal/engine", "codec", "keys"}, []string{xxhash, zstd}},
	{"internal/segment", []string{"internal/engine", "codec", "keys"}, []string{xxhash, zstd}},

	{".", with(formats, "internal/engine", "internal/index", "internal/segment"), []string{xxhash, ulid}},

	{"aggregate", []string{".", "codec", "keys", "snapshot"}, nil},
	{"projection", []string{".", "codec", "keys", "cursor"}, nil},
	{"projection/decimal", nil, []string{apd, msgpack}},
	{"publish", []string{".", "codec", "keys", "cursor"}, nil},

	{"httpapi", with(formats, ".", "aggregate", "projection", "publish"), nil},
	{"estest", with(formats, ".", "aggregate", "projection", "publish"), nil},
	// bench opens its baseline with the very options that the engine gives Pebble.
	{"bench", with(formats, ".", "aggregate", "projection", "publish", "internal/engine"), []string{pebble, hdr, xxhash, zstd, msgpack}},

	{"cmd", []string{anything}, []string{anything}},
	{"examples", []string{anything}, []string{anything}},

	{"internal/campaign", nil, nil},
	{"internal/campaign/faultfs", nil, nil},
	// The reference model is compared with all that a store shows.
	{"internal/campaign/model", []string{".", "codec", "keys", "projection", "snapshot"}, []string{porcupine}},
	{"internal/lint", nil, nil},
}

// pebbleRooms are the places that may import Pebble, and what of it. Empty means
// all of it.
var pebbleRooms = map[string]string{
	"internal/engine": "",
	"bench":           "",
	"options.go":      pebble + "/vfs",
	"estest":          pebble + "/vfs",
	"cmd":             pebble + "/tool",

	"internal/campaign/faultfs": pebble + "/vfs",
}

// testOnly are the modules that tests may import everywhere.
var testOnly = []string{
	porcupine, "github.com/santhosh-tekuri/jsonschema/v6", "pgregory.net/rapid", "github.com/google/go-cmp/cmp", "github.com/google/go-cmp/cmp/cmpopts", "go.uber.org/goleak",
	pebble + "/vfs", pebble + "/vfs/errorfs", msgpack, ulid, xxhash, zstd,
}

// roomOf returns the row with the longest folder that f is in.
func roomOf(f *file) (room, bool) {
	var best room
	ok := false
	for _, r := range rooms {
		match := r.dir == "." && f.dir == "." || r.dir != "." && f.within(r.dir)
		if match && (!ok || len(r.dir) > len(best.dir)) {
			best, ok = r, true
		}
	}
	return best, ok
}

func checkImports(f *file) []string {
	r, ok := roomOf(f)
	if !ok {
		return []string{f.at(f.tree.Package, "folder %s is not in the table of rooms: add it there and to docs/ARCHITECTURE.md", f.dir)}
	}
	var found []string
	for _, imp := range f.tree.Imports {
		if fault := importFault(f, r, importPath(imp)); fault != "" {
			found = append(found, f.at(imp.Pos(), "%s", fault))
		}
	}
	return found
}

func importFault(f *file, r room, p string) string {
	switch {
	case p == "C":
		return "import of C: the module builds without a C compiler"
	case p == module || strings.HasPrefix(p, module+"/"):
		return ownFault(f, r, strings.TrimPrefix(strings.TrimPrefix(p, module), "/"))
	case !strings.Contains(strings.Split(p, "/")[0], "."):
		return "" // the standard library
	case f.test && slices.ContainsFunc(testOnly, func(t string) bool { return p == t }):
		return ""
	case under(p, pebble):
		return pebbleFault(f, p)
	case f.test && under(p, "github.com/stretchr/testify"):
		return "import of testify: compare with got and want, or go-cmp"
	case slices.Contains(r.others, anything), slices.Contains(r.others, p):
		return ""
	default:
		return "package " + r.dir + " may not import " + p
	}
}

func ownFault(f *file, r room, dir string) string {
	if dir == "" {
		dir = "."
	}
	if f.test && dir != "." && !slices.Contains(formats, r.dir) {
		return "" // tests stand above what they test; only the ground floor is strict there
	}
	if f.test && under(dir, "internal/campaign") {
		return "" // how long tests go on, and how they count: it imports nothing itself
	}
	if dir == r.dir || dir != "." && under(dir, r.dir) || slices.Contains(r.own, anything) {
		return ""
	}
	for _, allowed := range r.own {
		if dir == allowed || allowed != "." && under(dir, allowed) {
			return ""
		}
	}
	return "package " + r.dir + " may not import " + dir
}

func pebbleFault(f *file, p string) string {
	for place, part := range pebbleRooms {
		if (f.name == place || f.within(place)) && (part == "" || under(p, part)) {
			return ""
		}
	}
	if f.test && f.within("cmd") {
		return "" // tests of programs compare the store with plain Pebble
	}
	return "import of " + p + ": Pebble stays in internal/engine (as vfs in options.go and estest, as baseline in bench, as tool in cmd)"
}
