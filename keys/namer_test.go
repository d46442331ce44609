package keys_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/keys"
)

func TestDefaultNamerMakesNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ context, kind, id, want string }{
		{"Finance", "Account", "1000", "finance-account-1000"},
		{"finance", "account", "a-b_c-9", "finance-account-a-b_c-9"},
		{"a_1", "b_2", "-", "a_1-b_2--"},
		{"x", "y", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "x-y-01arz3ndektsv4rrffq69g5fav"},
		{"c", "t", strings.Repeat("i", 251), "c-t-" + strings.Repeat("i", 251)},
	} {
		got, err := keys.DefaultNamer(tt.context, tt.kind, tt.id)
		if err != nil || string(got) != tt.want {
			t.Errorf("DefaultNamer(%q, %q, %q) = %q, %v, want %q", tt.context, tt.kind, tt.id, got, err, tt.want)
			continue
		}
		if err := got.Validate(); err != nil {
			t.Errorf("name %q is refused as a stream: %v", got, err)
		}
		if got, want := got.Category(), strings.ToLower(tt.context+"-"+tt.kind); got != want {
			t.Errorf("category of %q = %q, want %q", tt.want, got, want)
		}
	}
}

func TestDefaultNamerNamesThePartAtFault(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("i", 252)
	for _, tt := range []struct {
		name              string
		context, kind, id string
		want              keys.NameError
	}{
		{"an empty context first", "", "", "", keys.NameError{Part: "context", Reason: keys.NameEmpty}},
		{"then an empty type", "c", "", "", keys.NameError{Part: "type", Reason: keys.NameEmpty}},
		{"then an empty id", "c", "t", "", keys.NameError{Part: "id", Reason: keys.NameEmpty}},
		{"blanks are empty", "c", "t", " \t\n", keys.NameError{Part: "id", Reason: keys.NameEmpty, Name: " \t\n"}},
		{"so are blanks beyond ASCII", "\u00a0\u2003", "t", "i", keys.NameError{Part: "context", Reason: keys.NameEmpty, Name: "\u00a0\u2003"}},
		{"blanks before a length", "c", " ", long, keys.NameError{Part: "type", Reason: keys.NameEmpty, Name: " "}},
		{"256 bytes", "c", "t", long, keys.NameError{Part: "stream", Reason: keys.NameTooLong, Name: "c-t-" + long, Max: 255}},
		{"a length before characters", "C/", "t-", long, keys.NameError{Part: "stream", Reason: keys.NameTooLong, Name: "c/-t--" + long, Max: 255}},
		{"a length in bytes", "c", "t", strings.Repeat("é", 126), keys.NameError{Part: "stream", Reason: keys.NameTooLong, Name: "c-t-" + strings.Repeat("é", 126), Max: 255}},
		{"bytes that are not UTF-8 count once", "c", "t", strings.Repeat("\xe9", 100), keys.NameError{Part: "id", Reason: keys.NameBadCharacter, Name: strings.Repeat("\xe9", 100), Rune: '\uFFFD'}},
		{"a separator in the context", "a-b", "t", "i", keys.NameError{Part: "context", Reason: keys.NameSeparator, Name: "a-b"}},
		{"a separator in the type", "c", "a-b", "i", keys.NameError{Part: "type", Reason: keys.NameSeparator, Name: "a-b"}},
		{"the first part at fault", "a.b", "a-b", "/", keys.NameError{Part: "context", Reason: keys.NameBadCharacter, Name: "a.b", Rune: '.'}},
		{"a space", "c", "t", "a b", keys.NameError{Part: "id", Reason: keys.NameBadCharacter, Name: "a b", Rune: ' '}},
		{"a slash", "c", "t", "a/b", keys.NameError{Part: "id", Reason: keys.NameBadCharacter, Name: "a/b", Rune: '/'}},
		{"a colon", "c", "t:", "i", keys.NameError{Part: "type", Reason: keys.NameBadCharacter, Name: "t:", Rune: ':'}},
		{"an at sign", "c@", "t", "i", keys.NameError{Part: "context", Reason: keys.NameBadCharacter, Name: "c@", Rune: '@'}},
		{"a newline at the end", "c", "t", "i\n", keys.NameError{Part: "id", Reason: keys.NameBadCharacter, Name: "i\n", Rune: '\n'}},
		{"a newline at the end of the type", "c", "t\n", "i", keys.NameError{Part: "type", Reason: keys.NameBadCharacter, Name: "t\n", Rune: '\n'}},
		{"a letter beyond ASCII", "c", "t", "É", keys.NameError{Part: "id", Reason: keys.NameBadCharacter, Name: "É", Rune: 'É'}},
		{"the Kelvin sign, which folds to k", "c", "t", "\u212a", keys.NameError{Part: "id", Reason: keys.NameBadCharacter, Name: "\u212a", Rune: '\u212a'}},
		{"NUL", "c", "t", "\x00", keys.NameError{Part: "id", Reason: keys.NameBadCharacter, Name: "\x00"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := keys.DefaultNamer(tt.context, tt.kind, tt.id)
			var e *keys.NameError
			if got != "" || !errors.As(err, &e) {
				t.Fatalf("name %q, error %v, want a *NameError", got, err)
			}
			if diff := cmp.Diff(tt.want, *e); diff != "" {
				t.Errorf("error differs (-want +got):\n%s", diff)
			}
			if !errors.Is(err, keys.ErrInvalidName) || !errors.Is(err, keys.ErrEventStore) {
				t.Errorf("error %v, want one that matches ErrInvalidName and ErrEventStore", err)
			}
			if !strings.Contains(err.Error(), tt.want.Part) {
				t.Errorf("error %q, want it to name %q", err, tt.want.Part)
			}
		})
	}
}

func TestNamesFromTheNamerComeApartAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		context := rapid.StringMatching(`[a-z0-9_]{1,20}`).Draw(t, "context")
		kind := rapid.StringMatching(`[a-z0-9_]{1,20}`).Draw(t, "type")
		id := rapid.StringMatching(`[a-z0-9_-]{1,40}`).Draw(t, "id")
		name, err := keys.DefaultNamer(context, kind, id)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.SplitN(string(name), "-", 3)
		if diff := cmp.Diff([]string{context, kind, id}, parts); diff != "" {
			t.Fatalf("%q came apart differently (-want +got):\n%s", name, diff)
		}
		if got, want := name.Category(), context+"-"+kind; got != want {
			t.Fatalf("category of %q = %q, want %q", name, got, want)
		}
	})
}

func TestCategory(t *testing.T) {
	t.Parallel()
	for stream, want := range map[keys.StreamID]string{
		"finance-account-1000":    "finance-account",
		"finance-account-1000-eu": "finance-account",
		"a-b--":                   "a-b",
		"A-B-C":                   "A-B",
		"":                        "",
		"one":                     "",
		"one-two":                 "",
		"one-two-":                "",
		"-two-three":              "",
		"one--three":              "",
		"---":                     "",
	} {
		if got := stream.Category(); got != want {
			t.Errorf("Category of %q = %q, want %q", stream, got, want)
		}
	}
}

func TestSafeID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ id, want string }{
		{"already-safe_1", "already-safe_1"},
		{strings.Repeat("a", 180), strings.Repeat("a", 180)},
		{"", "_-ef46db3751d8e999"},
		{"ABC", "abc-e66ae7354fcfee98"},
		{"abc", "abc"},
		{"a/b c", ""},
		{"\xff\xfe", ""},
		{"Ünïcode", ""},
		{strings.Repeat("a", 181), ""},
		{strings.Repeat("É", 300), ""},
	} {
		got := keys.SafeID(tt.id)
		if tt.want != "" && got != tt.want {
			t.Errorf("SafeID(%q) = %q, want %q", tt.id, got, tt.want)
		}
		if len(got) > 180 {
			t.Errorf("SafeID(%q) has %d bytes, want at most 180", tt.id, len(got))
		}
		if name, err := keys.DefaultNamer("c", "t", got); err != nil || string(name) != "c-t-"+got {
			t.Errorf("SafeID(%q) = %q, which the namer turns into %q, %v", tt.id, got, name, err)
		}
	}
}

func TestSafeIDKeepsIDsApart(t *testing.T) {
	t.Parallel()
	for _, ids := range [][]string{
		{"abc", "ABC", "Abc", "abc ", "abc\n"},
		{"a/b", "a:b", "a_b", "A/B", "a\x00b"},
		{strings.Repeat("a", 181), strings.Repeat("a", 182), strings.Repeat("a", 180)},
		{"\xff", "\xfe", "\uFFFD", "_"},
	} {
		seen := map[string]string{}
		for _, id := range ids {
			safe := keys.SafeID(id)
			if other, ok := seen[safe]; ok {
				t.Errorf("%q and %q both become %q, want them apart", id, other, safe)
			}
			seen[safe] = id
		}
	}
}

func TestSafeIDIsAlwaysSafe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 400), func(b []byte) string { return string(b) })).Draw(t, "id")
		safe := keys.SafeID(id)
		if name, err := keys.DefaultNamer("context", "type", safe); err != nil || !strings.HasSuffix(string(name), safe) {
			t.Fatalf("SafeID(%q) = %q, which the namer refuses or changes: %q, %v", id, safe, name, err)
		}
		if keys.SafeID(safe) != safe {
			t.Fatalf("SafeID(%q) = %q, want it unchanged", safe, keys.SafeID(safe))
		}
	})
}

func TestValidateName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "Ümlaut / with space", strings.Repeat("x", 255), "😀", "\u00a0"} {
		if err := keys.ValidateName("stream", name); err != nil {
			t.Errorf("ValidateName(%q) = %v, want no error", name, err)
		}
	}
	for _, tt := range []struct {
		name string
		want keys.NameError
		text string
	}{
		{"", keys.NameError{Reason: keys.NameEmpty}, "empty"},
		{strings.Repeat("x", 256), keys.NameError{Reason: keys.NameTooLong, Max: 255}, "256 bytes, at most 255"},
		{strings.Repeat("é", 128), keys.NameError{Reason: keys.NameTooLong, Max: 255}, "256 bytes"},
		{"a\xff", keys.NameError{Reason: keys.NameBadEncoding}, "not valid UTF-8"},
		{"a\x00", keys.NameError{Reason: keys.NameBadCharacter}, `'\x00'`},
		{"a\n", keys.NameError{Reason: keys.NameBadCharacter, Rune: '\n'}, `'\n'`},
		{"a\x7f", keys.NameError{Reason: keys.NameBadCharacter, Rune: 0x7f}, "not allowed"},
		{"a\u0085", keys.NameError{Reason: keys.NameBadCharacter, Rune: 0x85}, "not allowed"},
	} {
		for _, field := range []string{"stream", "tenant"} {
			err := keys.ValidateName(field, tt.name)
			var e *keys.NameError
			if !errors.As(err, &e) {
				t.Errorf("ValidateName(%q) = %v, want a *NameError", tt.name, err)
				continue
			}
			tt.want.Part, tt.want.Name = field, tt.name
			if diff := cmp.Diff(tt.want, *e); diff != "" {
				t.Errorf("ValidateName(%q) differs (-want +got):\n%s", tt.name, diff)
			}
			if !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), field) {
				t.Errorf("error %q, want it to contain %q and %q", err, tt.text, field)
			}
		}
	}
	if err := keys.StreamID("").Validate(); !errors.Is(err, keys.ErrInvalidName) {
		t.Errorf("Validate of an empty stream = %v, want ErrInvalidName", err)
	}
	separator := &keys.NameError{Part: "context", Reason: keys.NameSeparator, Name: "a-b"}
	if got := separator.Error(); !strings.Contains(got, "use '_'") {
		t.Errorf("error %q, want it to say the mend", got)
	}
}

func TestVersionsSaturate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ v, want keys.Version }{
		{0, 1}, {1, 2}, {keys.MaxVersion - 1, keys.MaxVersion}, {keys.MaxVersion, keys.MaxVersion}, {1<<64 - 1, keys.MaxVersion},
	} {
		if got := tt.v.Next(); got != tt.want {
			t.Errorf("Next of %d = %d, want %d", tt.v, got, tt.want)
		}
	}
	if got := fmt.Sprint(keys.MaxVersion, " ", keys.MaxPosition); got != "9223372036854775807 9223372036854775807" {
		t.Errorf("greatest version and position are %s, want 2^63-1", got)
	}
}
