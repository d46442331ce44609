package index

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

const trace = "0af7651916cd43dd8448eb211c80319c"

// metadata returns entries as an envelope holds them.
func metadata(entries map[string]string) []byte { return codec.AppendMetadata(nil, entries) }

// termsOf returns the terms of an event, sorted.
func termsOf(t testing.TB, id keys.IndexID, stream keys.StreamID, env *codec.Envelope) []string {
	t.Helper()
	var terms []string
	if err := Terms(id, stream, env, func(term []byte) { terms = append(terms, string(term)) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(terms)
	return terms
}

// These terms are on disk: they may not change.
func TestTheTermsOfAnEvent(t *testing.T) {
	t.Parallel()
	full := &codec.Envelope{
		Type: []byte("Posted"), Correlation: []byte("c-1"), Causation: []byte("e-9"), User: []byte("ada"), OccurredAt: 1,
		Metadata: metadata(map[string]string{"doc": "INV-7", "empty": "", "a=b": "c"}),
	}
	bare := &codec.Envelope{Type: []byte("Posted"), OccurredAt: -1}
	traced := &codec.Envelope{Metadata: metadata(map[string]string{"traceparent": "00-" + trace + "-b7ad6b7169203331-01"})}
	for _, c := range []struct {
		what string
		id   keys.IndexID
		env  *codec.Envelope
		want []string
	}{
		{"tenant: one term, empty", Tenant, bare, []string{""}},
		{"type", Type, full, []string{"Posted"}},
		{"category", Category, full, []string{"finance-account"}},
		{"correlation", Correlation, full, []string{"c-1"}},
		{"no correlation", Correlation, bare, nil},
		{"the trace stands in", Correlation, traced, []string{trace}},
		{"causation", Causation, full, []string{"e-9"}},
		{"no causation", Causation, bare, nil},
		{"user", User, full, []string{"ada"}},
		{"no user", User, bare, nil},
		{"occurred", Occurred, full, []string{"\x80\x00\x00\x00\x00\x00\x00\x01"}},
		{"occurred before 1970", Occurred, bare, []string{"\x7f\xff\xff\xff\xff\xff\xff\xff"}},
		{"tags", Tag, full, []string{"a=b=c", "doc=INV-7", "empty="}},
		{"no tags", Tag, bare, nil},
		{"an index that is none", 99, full, nil},
	} {
		if got := termsOf(t, c.id, "finance-account-1", c.env); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// An event with more tags than are indexed is found by whoever looks for any tag.
func TestTooManyTagsShareATerm(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{1: 1, MaxTags: MaxTags, MaxTags + 1: 1} {
		entries := map[string]string{}
		for i := range n {
			entries[fmt.Sprint(i)] = "x"
		}
		got := termsOf(t, Tag, "s", &codec.Envelope{Metadata: metadata(entries)})
		if len(got) != want {
			t.Errorf("%d tags: got %d terms, want %d", n, len(got), want)
		}
		if many := slices.Contains(got, ManyTags); many != (n > MaxTags) {
			t.Errorf("%d tags: the term of many is there: %v", n, many)
		}
	}
}

// A tag is never taken for the term of many, and never longer than a term may be; two long
// ones with one start are told apart.
func TestTagTermsAreShortAndDistinct(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key, value := rapid.StringN(1, 300, -1).Draw(t, "key"), rapid.StringN(0, 600, -1).Draw(t, "value")
		term := TagTerm(key, value)
		if len(term) > maxTerm || term == ManyTags {
			t.Fatalf("got a term of %d bytes: %q", len(term), term)
		}
		if whole := key + "=" + value; len(whole) <= maxTerm && term != whole {
			t.Fatalf("got %q, want %q", term, whole)
		}
	})
	long := strings.Repeat("x", 400)
	if a, b := TagTerm("doc", long+"1"), TagTerm("doc", long+"2"); a == b || len(a) != maxTerm {
		t.Errorf("two long tags have the terms %q and %q", a, b)
	}
	if got, want := TagTerm("doc", long)[maxTerm-16:], TagTerm("doc", long)[maxTerm-16:]; got != want {
		t.Errorf("one tag has two terms: %q and %q", got, want)
	}
}

// Metadata that is damaged is an error of the tags, and no correlation.
func TestDamagedMetadata(t *testing.T) {
	t.Parallel()
	damaged := &codec.Envelope{Metadata: []byte("\x05traceparent")}
	if err := Terms(Tag, "s", damaged, func(term []byte) { t.Errorf("got the term %q", term) }); err == nil {
		t.Error("damaged metadata has tags")
	}
	if got := CorrelationOf(damaged); got != nil {
		t.Errorf("got the correlation %q, want none", got)
	}
}

func TestTimesSortAsTheirTerms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1, math.MaxInt64}))
		a, b := at.Draw(t, "a"), at.Draw(t, "b")
		ta, tb := AppendTimeTerm(nil, a), AppendTimeTerm(nil, b)
		if got, want := bytes.Compare(ta, tb), compare(a, b); got != want {
			t.Fatalf("times %d and %d compare as %d, their terms as %d", a, b, want, got)
		}
		if got, ok := ParseTimeTerm(string(ta)); !ok || got != a {
			t.Fatalf("time %d came back as %d, %v", a, got, ok)
		}
	})
	for _, bad := range []string{"", "1234567", "123456789"} {
		if got, ok := ParseTimeTerm(bad); ok {
			t.Errorf("%q was taken for the time %d", bad, got)
		}
	}
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// The examples are those of W3C Trace Context, and what its rules exclude.
func TestTraceID(t *testing.T) {
	t.Parallel()
	const parent = "b7ad6b7169203331"
	for given, want := range map[string]string{
		"00-" + trace + "-" + parent + "-01":                          trace,
		"00-" + trace + "-" + parent + "-00":                          trace,
		"cc-" + trace + "-" + parent + "-01":                          trace, // a later version
		"cc-" + trace + "-" + parent + "-01-what-the-future-will-be":  trace,
		"00-" + trace + "-" + parent + "-01-more":                     "", // version 00 ends there
		"cc-" + trace + "-" + parent + "-01.what-the-future-will-not": "",
		"ff-" + trace + "-" + parent + "-01":                          "", // never a version
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01":        "", // no trace
		"00-" + strings.ToUpper(trace) + "-" + parent + "-01":         "",
		"0g-" + trace + "-" + parent + "-01":                          "",
		"00-" + trace[:31] + "g-" + parent + "-01":                    "",
		"00-" + trace + "-" + parent[:15] + "g-01":                    "",
		"00-" + trace + "-" + parent + "-0g":                          "",
		"00." + trace + "-" + parent + "-01":                          "",
		"00-" + trace + "." + parent + "-01":                          "",
		"00-" + trace + "-" + parent + ".01":                          "",
		"00-" + trace + "-" + parent + "-0":                           "",
		"":                                                            "",
	} {
		if got := TraceID(given); got != want {
			t.Errorf("traceparent %q: got %q, want %q", given, got, want)
		}
	}
}

// An event's own correlation goes before the trace's.
func TestACorrelationGoesBeforeATrace(t *testing.T) {
	t.Parallel()
	env := &codec.Envelope{
		Correlation: []byte("c-1"),
		Metadata:    metadata(map[string]string{"traceparent": "00-" + trace + "-b7ad6b7169203331-01"}),
	}
	if got := string(CorrelationOf(env)); got != "c-1" {
		t.Errorf("got %q, want c-1", got)
	}
	env.Correlation = nil
	if got := string(CorrelationOf(env)); got != trace {
		t.Errorf("without one: got %q, want the trace", got)
	}
	env.Metadata = metadata(map[string]string{"note": "traceparent is elsewhere"})
	if got := CorrelationOf(env); len(got) != 0 {
		t.Errorf("without either: got %q, want none", got)
	}
}
