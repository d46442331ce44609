package lint

import (
	"fmt"
	"go/ast"
	"os"
	"regexp"
	"strings"
	"testing"
)

// contractGroups are the numbers that docs/CONTRACTS.md must have a row for.
var contractGroups = map[string]int{"C": 29, "S": 16, "E": 14, "V": 4, "O": 10, "M": 8, "A": 5}

var inBackticks = regexp.MustCompile("`([^`]+)`")

// Each row of docs/CONTRACTS.md names symbols that exist and tests that exist, or says that
// it is owed.
func TestTheTableOfContractsIsTrue(t *testing.T) {
	t.Parallel()
	files := moduleFiles(t, "../..")
	symbols, tests := declared(files)
	text, err := os.ReadFile("../../docs/CONTRACTS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	row := regexp.MustCompile(`^\| ([CSEVOMA][0-9]+) \|(.*)\|$`)
	for line := range strings.Lines(string(text)) {
		m := row.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		if rows[m[1]] {
			t.Errorf("%s has two rows", m[1])
		}
		rows[m[1]] = true
		if fault := contractFault(m[2], symbols, tests); fault != "" {
			t.Errorf("%s: %s", m[1], fault)
		}
	}
	for group, n := range contractGroups {
		for i := 1; i <= n; i++ {
			if id := fmt.Sprint(group, i); !rows[id] {
				t.Errorf("%s has no row", id)
			}
		}
	}
}

// contractFault says what is wrong with a row, or nothing.
func contractFault(row string, symbols, tests map[string]bool) string {
	named, shown := 0, 0
	for _, m := range inBackticks.FindAllStringSubmatch(row, -1) {
		switch name := m[1]; {
		case strings.HasPrefix(name, "Test"), strings.HasPrefix(name, "Example"), strings.HasPrefix(name, "Fuzz"):
			if shown++; !tests[name] {
				return "there is no test " + name
			}
		case strings.Contains(name, "."):
			if named++; !symbols[name] {
				return "there is no symbol " + name
			}
		}
	}
	if (named == 0 || shown == 0) && !strings.Contains(row, "**Owed**") {
		return "it names no symbol or no test, and does not say that it is owed"
	}
	return ""
}

// declared returns the exported symbols of the module, as package.Name and
// package.Type.Member, and the names of its tests.
func declared(files []*file) (symbols, tests map[string]bool) {
	symbols, tests = make(map[string]bool), make(map[string]bool)
	embedded := map[string][]string{} // of a type, the types in it
	for _, f := range files {
		pkg := f.tree.Name.Name
		for _, d := range f.tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if f.test && d.Recv == nil {
					tests[d.Name.Name] = true
				}
				if !f.test {
					symbols[pkg+"."+receiverPrefix(d)+d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					declareSpec(pkg, s, symbols, embedded)
				}
			}
		}
	}
	for outer, inner := range embedded {
		for _, name := range inner {
			for s := range symbols {
				if member, ok := strings.CutPrefix(s, name+"."); ok {
					symbols[outer+"."+member] = true
				}
			}
		}
	}
	return symbols, tests
}

// receiverPrefix returns "Type." of a method.
func receiverPrefix(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	return receiver(d) + "."
}

func declareSpec(pkg string, s ast.Spec, symbols map[string]bool, embedded map[string][]string) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			symbols[pkg+"."+n.Name] = true
		}
	case *ast.TypeSpec:
		name := pkg + "." + s.Name.Name
		symbols[name] = true
		structure, ok := s.Type.(*ast.StructType)
		if !ok {
			return
		}
		for _, field := range structure.Fields.List {
			for _, n := range field.Names {
				symbols[name+"."+n.Name] = true
			}
			if id, ok := field.Type.(*ast.Ident); ok && len(field.Names) == 0 {
				embedded[name] = append(embedded[name], pkg+"."+id.Name)
			}
		}
	}
}

// The check of the table finds what it must.
func TestFaultsOfTheTableOfContractsAreFound(t *testing.T) {
	t.Parallel()
	f, err := parse("a.go", "package p\ntype T struct{ F int; inner }\ntype inner struct{}\nfunc (inner) M() {}\nfunc (*T) N() {}\n")
	if err != nil {
		t.Fatal(err)
	}
	g, err := parse("a_test.go", "package p\nfunc TestX() {}\n")
	if err != nil {
		t.Fatal(err)
	}
	symbols, tests := declared([]*file{f, g})
	for row, sound := range map[string]bool{
		"a | `p.T`, `p.T.F`, `p.T.M`, `p.T.N` | `TestX` ": true,
		"a | | **Owed** ":                 true,
		"a | `p.T` | ":                    false,
		"a | | `TestX` ":                  false,
		"a | `p.U` | `TestX` ":            false,
		"a | `p.T.G` | `TestX` **Owed** ": false,
		"a | `p.T` | `TestY` ":            false,
	} {
		if fault := contractFault(row, symbols, tests); (fault == "") != sound {
			t.Errorf("%q: got fault %q", row, fault)
		}
	}
}
