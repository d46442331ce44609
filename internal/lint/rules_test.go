package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// file is one parsed Go file. Its name is relative to the module's root.
type file struct {
	name  string
	dir   string // "." for the root package
	test  bool
	lines int
	fset  *token.FileSet
	tree  *ast.File
}

func (f *file) program() bool { return f.tree.Name.Name == "main" }

func (f *file) at(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", f.name, f.fset.Position(pos).Line, fmt.Sprintf(format, args...))
}

// within reports whether the file's folder is dir or lies in it.
func (f *file) within(dir string) bool { return under(f.dir, dir) }

func under(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// check returns every violation in files, sorted.
func check(files []*file) []string {
	var found []string
	for _, f := range files {
		found = append(found, checkImports(f)...)
		found = append(found, checkSize(f)...)
		found = append(found, checkExported(f)...)
		found = append(found, checkCalls(f)...)
		found = append(found, checkText(f)...)
	}
	found = append(found, checkPackageComments(files)...)
	slices.Sort(found)
	return found
}

// Limits of a file, in lines.
const (
	maxLines     = 800
	maxTestLines = 1200
)

func checkSize(f *file) []string {
	limit := maxLines
	if f.test {
		limit = maxTestLines
	}
	if f.lines <= limit {
		return nil
	}
	return []string{f.at(f.tree.Package, "file has %d lines, at most %d are allowed: split it by concept", f.lines, limit)}
}

func checkPackageComments(files []*file) []string {
	first := map[string]*file{}
	commented := map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		if first[f.dir] == nil {
			first[f.dir] = f
		}
		if f.tree.Doc != nil {
			commented[f.dir] = true
		}
	}
	var found []string
	for dir, f := range first {
		if !commented[dir] {
			found = append(found, f.at(f.tree.Package, "package %s has no package comment", f.tree.Name.Name))
		}
	}
	return found
}

// checkExported wants a comment on everything exported outside programs, and it
// to start with the name.
func checkExported(f *file) []string {
	if f.test || f.program() {
		return nil
	}
	var found []string
	want := func(pos token.Pos, name string, doc *ast.CommentGroup) {
		switch {
		case doc == nil:
			found = append(found, f.at(pos, "exported %s has no comment", name))
		case !startsWithName(doc.Text(), name):
			found = append(found, f.at(pos, "the comment on %s does not start with its name", name))
		}
	}
	for _, decl := range f.tree.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
				want(d.Pos(), d.Name.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if !s.Name.IsExported() {
						continue
					}
					if doc := s.Doc; doc != nil || d.Lparen.IsValid() {
						want(s.Pos(), s.Name.Name, doc)
					} else {
						want(s.Pos(), s.Name.Name, d.Doc)
					}
				case *ast.ValueSpec:
					// A group of constants or variables may share one comment.
					if d.Doc == nil && s.Doc == nil && s.Comment == nil && slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
						found = append(found, f.at(s.Pos(), "exported %s has no comment", s.Names[0].Name))
					}
				}
			}
		}
	}
	return found
}

func startsWithName(text, name string) bool {
	for _, article := range []string{"", "A ", "An ", "The "} {
		if rest, ok := strings.CutPrefix(text, article+name); ok && (rest == "" || !isWord(rest[0])) {
			return true
		}
	}
	return strings.HasPrefix(text, "Deprecated: ")
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// timeAllowed are the folders and files outside programs that may read the wall
// clock, each with its reason.
var timeAllowed = map[string]string{
	"options.go":                 "the default of Options.Clock",
	"internal/engine/giveway.go": "how long the kernel took, which no event shows",
	"bench":                      "measures",
	"estest":                     "bounds how long a test waits",
	"internal/engine/logging.go": "limits how often a message is logged; nothing is stored",
	"internal/engine/disk.go":    "measures how old a look at the disk is; nothing is stored",
	"internal/engine/edge.go":    "measures stalls and pauses, which a clock that goes back must not change; nothing is stored",
}

// panicAllowed are the files of libraries that may panic with a text.
var panicAllowed = map[string]string{
	"bench/baseline.go": "Fatalf of a Pebble logger must not return, and the baseline has nothing to poison",
}

func checkCalls(f *file) []string {
	var found []string
	names := importNames(f)
	library := !f.test && !f.program() && !f.within("cmd") && !f.within("examples")
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				found = append(found, f.at(n.Pos(), "init() runs unasked: pass what it sets up as a value"))
			}
		case *ast.SelectorExpr:
			ident, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch call := names[ident.Name] + "." + n.Sel.Name; {
			case f.test && call == "time.Sleep":
				found = append(found, f.at(n.Pos(), "time.Sleep in a test: wait for a signal, or use testing/synctest"))
			case !library:
			case call == "os.Exit", strings.HasPrefix(call, "log.Fatal"), strings.HasPrefix(call, "log.Panic"):
				found = append(found, f.at(n.Pos(), "%s in a library: return an error", call))
			case strings.HasPrefix(call, "fmt.Print"):
				found = append(found, f.at(n.Pos(), "%s in a library: return it, or write to an io.Writer", call))
			case call == "time.Now" && timeAllowed[f.name] == "" && timeAllowed[f.dir] == "":
				found = append(found, f.at(n.Pos(), "time.Now: take the time from Options.Clock"))
			}
		case *ast.CallExpr:
			if ident, ok := n.Fun.(*ast.Ident); ok && ident.Name == "panic" && library && panicAllowed[f.name] == "" && len(n.Args) == 1 && isText(n.Args[0], names) {
				found = append(found, f.at(n.Pos(), "panic with a text in a library: return an error"))
			}
		}
		return true
	})
	return found
}

// isText reports whether e is plainly a string.
func isText(e ast.Expr, names map[string]string) bool {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return isText(e.X, names)
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return isText(e.X, names) || isText(e.Y, names)
	case *ast.CallExpr:
		if sel, ok := e.Fun.(*ast.SelectorExpr); ok {
			if ident, ok := sel.X.(*ast.Ident); ok {
				return names[ident.Name] == "fmt" && strings.HasPrefix(sel.Sel.Name, "Sprint")
			}
		}
		ident, ok := e.Fun.(*ast.Ident)
		return ok && ident.Name == "string"
	default:
		return false
	}
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// importNames maps the names under which f knows its imports to their paths.
func importNames(f *file) map[string]string {
	names := map[string]string{}
	for _, imp := range f.tree.Imports {
		p := importPath(imp)
		name := path.Base(p)
		if majorVersion.MatchString(name) {
			name = path.Base(path.Dir(p))
		}
		if imp.Name != nil {
			name = imp.Name.Name
		}
		names[name] = p
	}
	return names
}

func importPath(imp *ast.ImportSpec) string {
	p, err := strconv.Unquote(imp.Path.Value)
	if err != nil {
		return imp.Path.Value // the parser has refused it
	}
	return p
}

// unfinished matches what is left for later, and paths of one machine.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b|(^|[\s"'(])/(tmp|home)/`)

func checkText(f *file) []string {
	var found []string
	for _, group := range f.tree.Comments {
		for _, c := range group.List {
			if m := unfinished.FindString(c.Text); m != "" {
				found = append(found, f.at(c.Pos(), "comment has %q: finish it, or say it without", strings.TrimSpace(m)))
			}
		}
	}
	return found
}
