package xes

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
)

// describe reads a whole log and writes what it found, one line per event, block end
// or error.
func describe(t *testing.T, doc string) string {
	t.Helper()
	category, err := source.ParseCategory("shop-order")
	if err != nil {
		t.Fatal(err)
	}
	blocks := NewBlocks(strings.NewReader(doc), category)
	var out strings.Builder
	for {
		block, err := blocks.Next()
		var bad *source.BadRecord
		switch {
		case errors.Is(err, io.EOF):
			return out.String()
		case errors.As(err, &bad):
			fmt.Fprintf(&out, "bad %d: %v\n", bad.Events, bad)
			continue
		case err != nil:
			fmt.Fprintf(&out, "end: %v\n", err)
			return out.String()
		}
		for _, r := range block.Records {
			data, ok := r.Event.Data.(codec.Encoded)
			if !ok || r.Event.Codec != codec.JSON {
				t.Fatalf("payload is %T in %v, want encoded JSON", r.Event.Data, r.Event.Codec)
			}
			fmt.Fprintf(&out, "%d %s %s %s %s %v\n", r.Line, r.Stream, r.Event.Type,
				r.Event.OccurredAt.Format("2006-01-02T15:04:05Z07:00"), data, r.Event.Metadata)
		}
		out.WriteString("--\n")
	}
}

const (
	nameAttr = `<string key="concept:name" value="A"/>`
	timeAttr = `<date key="time:timestamp" value="2018-01-04T11:35:00.000+01:00"/>`
	good     = `<event>` + nameAttr + timeAttr + `</event>`
	caseName = `<string key="concept:name" value="c1"/>`
)

func wrap(inner string) string { return "<log>\n<trace>" + caseName + "\n" + inner + "</trace></log>" }

const plain = "shop-order-c1 A 2018-01-04T11:35:00+01:00 {} map[case:c1]\n"

func TestBlocks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, doc, want string }{
		{"a case is one block of its events", wrap(good + "\n" + good), "3 " + plain + "4 " + plain + "--\n"},
		{"a log without cases is empty", `<?xml version="1.0"?><log/>`, ""},
		{
			"what the log says about itself is read over",
			`<log xmlns="http://www.xes-standard.org"><extension name="Concept"/><global scope="event">` + nameAttr + `</global>` +
				`<classifier name="x" keys="a b"/><string key="k" value="v"/><trace>` + caseName + good + `</trace></log>`,
			"1 " + plain + "--\n",
		},
		{
			"values stay text as written, booleans aside",
			wrap(`<event>` + nameAttr + timeAttr + `<float key="f" value="0.0"/><int key="i" value="007"/><boolean key="b" value="true"/>` +
				`<boolean key="c" value="1"/><float key="n" value="NaN"/><date key="d" value="2018"/><id key="u" value="x"/></event>`),
			`3 shop-order-c1 A 2018-01-04T11:35:00+01:00 {"f":"0.0","i":"007","b":true,"c":"1","n":"NaN","d":"2018","u":"x"} map[case:c1]` + "\n--\n",
		},
		{
			"characters are kept, also those that JSON escapes",
			wrap(`<event>` + timeAttr + `<string key="concept:name" value="A &lt;&amp;é"/><string key="k" value=" a\b &quot;&#10;"/></event>`),
			`3 shop-order-c1 A <&é 2018-01-04T11:35:00+01:00 {"k":" a\\b \"\u000a"} map[case:c1]` + "\n--\n",
		},
		{
			"nested attributes keep the value and what is below",
			wrap(`<event>` + nameAttr + timeAttr + `<string key="a" value="1"><int key="b" value="2"><id key="c" value="3"/></int></string></event>`),
			`3 shop-order-c1 A 2018-01-04T11:35:00+01:00 {"a":{"value":"1","attributes":{"b":{"value":"2","attributes":{"c":"3"}}}}} map[case:c1]` + "\n--\n",
		},
		{
			"lists and containers keep order and repeated keys",
			wrap(`<event>` + nameAttr + timeAttr + `<list key="l"><values><string key="x" value="1"/><string key="x" value="2"/></values></list>` +
				`<container key="c"><string key="x" value="1"/><string key="x" value="2"/></container><list key="e"/></event>`),
			`3 shop-order-c1 A 2018-01-04T11:35:00+01:00 {"l":[{"x":"1"},{"x":"2"}],"c":[{"x":"1"},{"x":"2"}],"e":[]} map[case:c1]` + "\n--\n",
		},
		{
			"attributes of the case go with its first event, wherever they stand",
			"<log><trace>" + good + good + `<string key="Vendor" value="v"/>` + caseName + "</trace></log>",
			`1 shop-order-c1 A 2018-01-04T11:35:00+01:00 {"case":{"Vendor":"v"}} map[case:c1]` + "\n1 " + plain + "--\n",
		},
		{
			"an event's own attribute called case is not lost",
			`<log><trace>` + caseName + `<string key="V" value="v"/><event>` + nameAttr + timeAttr + `<string key="case" value="own"/></event></trace></log>`,
			`1 shop-order-c1 A 2018-01-04T11:35:00+01:00 {"case":"own","case:":{"V":"v"}} map[case:c1]` + "\n--\n",
		},
		{
			"case ids that differ in case stay apart",
			`<log><trace><string key="concept:name" value="C1"/>` + good + `</trace></log>`,
			"1 shop-order-c1-" + hashOf("C1") + " A 2018-01-04T11:35:00+01:00 {} map[case:C1]\n--\n",
		},
		{
			"prefixes of elements are read over", `<x:log xmlns:x="u"><x:trace><x:string key="concept:name" value="c1"/><x:event>` +
				`<x:string key="concept:name" value="A"/><x:date key="time:timestamp" value="2018-01-04T11:35:00+01:00"/></x:event></x:trace></x:log>`,
			"1 " + plain + "--\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(t, tc.doc); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func hashOf(id string) string {
	c, err := source.ParseCategory("a-b")
	if err != nil {
		return err.Error()
	}
	s, err := c.Stream(id)
	if err != nil {
		return err.Error()
	}
	return string(s)[len(s)-16:]
}

func TestBadRecords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, doc, want string }{
		{
			"an event without a timestamp is left out alone", wrap(good + "\n<event>" + nameAttr + "</event>\n" + good),
			"bad 1: line 4: time:timestamp: the event has none\n3 " + plain + "5 " + plain + "--\n",
		},
		{
			"an event without a name is left out alone", wrap("<event>" + timeAttr + "</event>\n" + good),
			"bad 1: line 3: concept:name: the event has none\n4 " + plain + "--\n",
		},
		{
			"a timestamp that is none is named", wrap("<event>" + nameAttr + "\n" + `<date key="time:timestamp" value="yesterday"/></event>`),
			"bad 1: line 4: time:timestamp: \"yesterday\" is no time of the form 2006-01-02T15:04:05.999+01:00\n",
		},
		{
			"a timestamp without an offset is not guessed", wrap("<event>" + nameAttr + `<date key="time:timestamp" value="2018-01-04T11:35:00"/></event>`),
			"bad 1: line 3: time:timestamp: \"2018-01-04T11:35:00\" has no offset from UTC: write it as 2006-01-02T15:04:05Z or 2006-01-02T15:04:05+01:00\n",
		},
		{
			"a timestamp before the store's range", wrap("<event>" + nameAttr + `<date key="time:timestamp" value="1500-01-01T00:00:00Z"/></event>`),
			"bad 1: line 3: time:timestamp: 1500-01-01T00:00:00Z lies outside the years 1678 to 2261\n",
		},
		{
			"an empty event name", wrap("<event>" + timeAttr + `<string key="concept:name" value=""/></event>`),
			"bad 1: line 3: concept:name: event type name is empty: give it at least one character that is not blank\n",
		},
		{
			"an attribute without a key", wrap("<event>" + nameAttr + timeAttr + `<int value="1"/></event>`),
			"bad 1: line 3: int: the attribute has no key\n",
		},
		{
			"an attribute without a value", wrap("<event>" + nameAttr + timeAttr + `<int key="k"/></event>`),
			"bad 1: line 3: k: the attribute has no value\n",
		},
		{
			"an attribute that comes twice", wrap("<event>" + nameAttr + nameAttr + timeAttr + `</event>`),
			"bad 1: line 3: concept:name: the attribute comes twice\n",
		},
		{
			"a case without events", "<log>\n<trace>" + caseName + "</trace>\n<trace>" + caseName + good + "</trace></log>",
			"bad 1: line 2: trace: the case has no events\n3 " + plain + "--\n",
		},
		{
			"a case without a name is left out whole", "<log><trace>" + good + good + "</trace></log>",
			"bad 2: line 1: concept:name: the case has no name, which would name its stream\n",
		},
		{
			"a case with an empty name", `<log><trace><string key="concept:name" value=""/>` + good + "</trace></log>",
			"bad 1: line 1: concept:name: the name of the case is empty\n",
		},
		{
			"a case with two names", "<log><trace>" + caseName + "\n" + caseName + good + "</trace></log>",
			"bad 1: line 2: concept:name: the case has two names\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(t, tc.doc); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestFilesThatEnd(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, doc, want string }{
		{"an empty file", "", "line 1: file: no <log> in it"},
		{"something else than XML", "position,stream", "line 1: file: text \"position,stream\""},
		{"XML that is no log", "<html></html>", "line 1: html: the outermost element"},
		{"a file that was cut off in a case", "<log>\n<trace>" + caseName + "\n", "line 3: trace: the file ends inside an element"},
		{"a tag that was cut off", "<log>\n<tra", "line 2: log: not well-formed XML"},
		{"ends in the wrong order", "<log><trace></log></trace>", "line 1: log: the end of an element that is not open"},
		{"an end too much", "<log/></log>", "line 1: log: the end of an element that is not open"},
		{"a second log", "<log/>\n<log/>", "line 2: log: a second element after </log>"},
		{"text between elements", "<log>\n<trace>hello</trace></log>", "line 2: trace: text \"hello\""},
		{"an attribute of a kind XES does not have", wrap("<event><money key='a' value='1'/></event>"), "line 3: money: an attribute is a"},
		{"an event outside of a case", "<log>\n" + good + "</log>", "line 2: event: an event outside of a <trace>"},
		{"an entity that nobody declared", wrap("<event>&boom;</event>"), "not well-formed XML: invalid character entity"},
		{"another encoding than UTF-8", `<?xml version="1.0" encoding="latin1"?><log/>`, `encoding "latin1"`},
		{"bytes that are no UTF-8", wrap("<event><string key='\xff' value=''/></event>"), "not well-formed XML: invalid UTF-8"},
		{"attributes nested without end", wrap("<event>" + strings.Repeat("<string key='a' value='b'>", 70)), "nested deeper than 64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := describe(t, tc.doc)
			if !strings.Contains(got, "end: ") || !strings.Contains(got, tc.want) {
				t.Errorf("got\n%s\nwant an end with %q", got, tc.want)
			}
		})
	}
}

func TestALargeCaseIsCutIntoBlocks(t *testing.T) {
	t.Parallel()
	got := describe(t, wrap(strings.Repeat(good, 2500)))
	var sizes []int
	for part := range strings.SplitSeq(strings.TrimSuffix(got, "--\n"), "--\n") {
		sizes = append(sizes, strings.Count(part, "\n"))
	}
	if want := "[1000 1000 500]"; fmt.Sprint(sizes) != want {
		t.Errorf("got blocks of %v, want %s", sizes, want)
	}

	big := `<event>` + nameAttr + timeAttr + `<string key="k" value="` + strings.Repeat("x", 900<<10) + `"/></event>`
	if got := strings.Count(describe(t, wrap(strings.Repeat(big, 9))), "--\n"); got != 3 {
		t.Errorf("nine events of 900 KiB: got %d blocks, want 3, each under 4 MiB", got)
	}
}

func FuzzBlocks(f *testing.F) {
	f.Add([]byte(wrap(good)))
	f.Add([]byte(wrap(`<event>` + nameAttr + timeAttr + `<list key="l"><values><int key="a" value="1"/></values></list></event>`)))
	f.Add([]byte("<log><trace>" + good + `<string key="V" value="v"/></trace>`))
	f.Add([]byte("\xef\xbb\xbf<?xml version='1.0'?><!DOCTYPE log><!-- c --><log><trace/></log>"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		category, err := source.ParseCategory("a")
		if err != nil {
			t.Fatal(err)
		}
		blocks := NewBlocks(strings.NewReader(string(doc)), category)
		for range len(doc) + 2 { // each call takes at least a byte, or ends the file
			block, err := blocks.Next()
			var bad *source.BadRecord
			if errors.As(err, &bad) {
				if bad.Line < 1 || bad.Events < 1 || bad.Field == "" {
					t.Fatalf("a bad record without its place: %+v", bad)
				}
				continue
			}
			if err != nil {
				return
			}
			if len(block.Records) == 0 || len(block.Records) > source.MaxBlockEvents {
				t.Fatalf("a block of %d records", len(block.Records))
			}
			for i := range block.Records {
				r := &block.Records[i]
				data, ok := r.Event.Data.(codec.Encoded)
				if !ok {
					t.Fatalf("payload is %T", r.Event.Data)
				}
				if _, exact, err := codec.ToJSON(codec.JSON, data); err != nil || !exact {
					t.Fatalf("payload %q: exact %t, %v", data, exact, err)
				}
			}
		}
		t.Fatal("the decoder does not come to an end")
	})
}
