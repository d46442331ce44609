package lint

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testName is a test that a document names; one that ends in "…" stands for all that
// begin so.
var testName = regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Z_][A-Za-z0-9_]*)(…?)`")

// A document that says which test shows a promise is worth as much as that test is there.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	var tests []string
	for _, f := range moduleFiles(t, "../..") {
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && fn.Recv == nil {
				tests = append(tests, fn.Name.Name)
			}
		}
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, path := range append(documents, "../../README.md", "../../SECURITY.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range testName.FindAllStringSubmatch(string(text), -1) {
			named++
			exists := slices.Contains(tests, found[1])
			if found[2] != "" {
				exists = slices.ContainsFunc(tests, func(name string) bool { return strings.HasPrefix(name, found[1]) })
			}
			if !exists {
				t.Errorf("%s names %s%s, which does not exist", filepath.Base(path), found[1], found[2])
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d names of tests were found in documents", named)
	}
}
