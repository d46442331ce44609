package campaign

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// catalogued is how many cases there are.
const catalogued = 72

func TestTheCatalogueIsWhole(t *testing.T) {
	t.Parallel()
	cases := Catalogue()
	if len(cases) != catalogued {
		t.Errorf("got %d cases, want %d", len(cases), catalogued)
	}
	name := regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	names := map[string]bool{}
	for i, c := range cases {
		if c.Number != i+1 {
			t.Errorf("case %d is numbered %d", i+1, c.Number)
		}
		if !name.MatchString(c.Name) || names[c.Name] {
			t.Errorf("case %d: the name %q is none, or used twice", c.Number, c.Name)
		}
		names[c.Name] = true
		if len(c.Lanes) == 0 || !slices.IsSorted(c.Lanes) || len(slices.Compact(slices.Clone(c.Lanes))) != len(c.Lanes) {
			t.Errorf("%s: the lanes %v are not in order", c.Name, c.Lanes)
		}
		if (len(c.Tests) == 0) == (c.Without == "") {
			t.Errorf("%s: got %d packages with tests and the reason %q, want one of the two", c.Name, len(c.Tests), c.Without)
		}
	}
}

// A case that names a test which was renamed or deleted would be tried by nothing.
func TestTheCataloguedTestsExist(t *testing.T) {
	t.Parallel()
	known := map[string]map[string]bool{}
	for _, c := range Catalogue() {
		for _, tests := range c.Tests {
			if known[tests.Package] == nil {
				known[tests.Package] = testsOf(t, tests.Package)
			}
			if len(tests.Names) == 0 {
				t.Errorf("%s: no test of %s is named", c.Name, tests.Package)
			}
			for _, name := range tests.Names {
				if !known[tests.Package][name] {
					t.Errorf("%s: there is no test %s in %s", c.Name, name, tests.Package)
				}
			}
		}
	}
}

// testsOf returns the names of what go test -run finds in a folder of the module.
func testsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*_test.go"))
	if err != nil || len(paths) == 0 {
		t.Errorf("no tests in %s: %v", folder, err)
	}
	names := map[string]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && f.Name.Name != "TestMain" && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

func TestACaseIsFoundByItsNameOrNumber(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"cursor_tamper", "56"} {
		if c, err := Find(name); err != nil || c.Number != 56 {
			t.Errorf("%s: got case %d and error %v, want 56", name, c.Number, err)
		}
	}
	if _, err := Find("073"); err == nil {
		t.Error("a case that is not there was found")
	}
}

func TestACaseIsInItsLaneAndLaterOnes(t *testing.T) {
	t.Parallel()
	c := Case{Lanes: nightly}
	for lane, want := range map[Lane]bool{PullRequest: false, Nightly: true, Weekly: true} {
		if got := c.In(lane); got != want {
			t.Errorf("a nightly case in the %s lane: got %v, want %v", lane, got, want)
		}
	}
}

func TestAPatternMatchesWholeNames(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(Tests{Names: []string{"TestA", "TestB"}}.Pattern())
	for name, want := range map[string]bool{"TestA": true, "TestB": true, "TestAB": false, "ATestA": false} {
		if got := pattern.MatchString(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
