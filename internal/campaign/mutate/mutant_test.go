package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"testing"
)

const root = "../../.."

// A mutant whose line has changed since, or whose test is gone, proves nothing.
func TestTheTableOfMutantsIsNotStale(t *testing.T) {
	t.Parallel()
	names, faults, tests := map[string]bool{}, map[[3]string]string{}, map[string]map[string]bool{}
	for _, m := range mutants() {
		fault := [3]string{m.file, m.find, m.put}
		switch {
		case names[m.name]:
			t.Errorf("%s: two mutants have this name", m.name)
		case faults[fault] != "":
			t.Errorf("%s: it is the same fault as %q", m.name, faults[fault])
		case m.find == m.put:
			t.Errorf("%s: it changes nothing", m.name)
		}
		names[m.name], faults[fault] = true, m.name
		source, err := m.apply(root)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, source, parser.SkipObjectResolution); err != nil {
			t.Errorf("%s: with the fault, %v", m.name, err)
		}
		if tests[m.pkg] == nil {
			tests[m.pkg] = testsOf(t, m.pkg)
		}
		if len(m.tests) == 0 {
			t.Errorf("%s: no test is to find it", m.name)
		}
		for _, test := range m.tests {
			if !tests[m.pkg][test] {
				t.Errorf("%s: there is no test %s in %s", m.name, test, m.pkg)
			}
		}
	}
}

var plainTest = regexp.MustCompile(`^Test\w+$`)

// testsOf returns the tests in the folder of a package.
func testsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && plainTest.MatchString(f.Name.Name) {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}
