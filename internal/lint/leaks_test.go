package lint

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// The tests of every package fail if they leave a goroutine behind: its TestMain says so.
func TestEveryPackageLooksForLeakedGoroutines(t *testing.T) {
	t.Parallel()
	for _, dir := range leaky(moduleFiles(t, "../..")) {
		t.Errorf("%s has tests, and no TestMain with goleak.VerifyTestMain", dir)
	}
}

// leaky returns the folders whose tests would not notice a goroutine that is left.
func leaky(files []*file) []string {
	tested, guarded := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		if !f.test {
			continue
		}
		for _, d := range f.tree.Decls {
			d, ok := d.(*ast.FuncDecl)
			switch {
			case !ok || d.Recv != nil:
			case d.Name.Name == "TestMain":
				guarded[f.dir] = guarded[f.dir] || calls(d, "goleak", "VerifyTestMain")
			case strings.HasPrefix(d.Name.Name, "Test"):
				tested[f.dir] = true
			}
		}
	}
	var found []string
	for dir := range tested {
		if !guarded[dir] {
			found = append(found, dir)
		}
	}
	slices.Sort(found)
	return found
}

// calls reports whether a function calls pkg.name.
func calls(d *ast.FuncDecl, pkg, name string) (found bool) {
	ast.Inspect(d, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == name {
			x, ok := s.X.(*ast.Ident)
			found = found || ok && x.Name == pkg
		}
		return true
	})
	return found
}

func TestPackagesThatDoNotLookForLeaksAreFound(t *testing.T) {
	t.Parallel()
	var files []*file
	for name, src := range map[string]string{
		"good/a_test.go": "package a\nfunc TestA(t *testing.T) {}\n",
		"good/b_test.go": "package a\nfunc TestMain(m *testing.M) { goleak.VerifyTestMain(m) }\n",
		"bad/a_test.go":  "package a\nfunc TestA(t *testing.T) {}\n",
		"main/a_test.go": "package a\nfunc TestA(t *testing.T) {}\nfunc TestMain(m *testing.M) { m.Run() }\n",
		"none/a_test.go": "package a\nfunc helper() {}\n",
		"code/a.go":      "package a\nfunc TestA() {}\n",
	} {
		f, err := parse(name, src)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if got, want := fmt.Sprint(leaky(files)), "[bad main]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
