package codec_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
)

func TestSplitPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"a": {"a"}, "data.amount": {"data", "amount"}, "lines.0.x": {"lines", "0", "x"}, "Customer ID.ü": {"Customer ID", "ü"},
		`a\.b.c`: {"a.b", "c"}, `a\\.b`: {`a\`, "b"}, `\a\ b`: {"a b"}, `\..\.`: {".", "."},
		"": nil, ".": nil, "a.": nil, ".a": nil, "a..b": nil, `a\`: nil, `a.\`: nil,
	} {
		names, ok := codec.SplitPath(path)
		if ok != (want != nil) || !slices.Equal(names, want) {
			t.Errorf("%q: got %q, %v, want %q", path, names, ok, want)
		}
	}
}

// Whatever the names are, a path leads to them.
func TestEveryNameHasAPath(t *testing.T) {
	t.Parallel()
	escape := strings.NewReplacer(".", `\.`, `\`, `\\`)
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`[a.\\ "']{1,4}`), 1, 4).Draw(t, "names")
		var escaped []string
		for _, n := range names {
			escaped = append(escaped, escape.Replace(n))
		}
		got, ok := codec.SplitPath(strings.Join(escaped, "."))
		if !ok || !slices.Equal(got, names) {
			t.Errorf("%q: got %q, %v", names, got, ok)
		}
	})
}
