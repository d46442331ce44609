package csvmap

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

const mappingFile = `
stream_from: Invoice
category: sales-invoice
type: LineRecorded
occurred_at:
  column: InvoiceDate
  layout: 2006-01-02 15:04:05
  location: Europe/London
payload:
  StockCode: stock_code
  Price: price
commit: Invoice
`

// describe reads rows and writes what it found, one line per event, block or error.
func describe(t *testing.T, mapping *Mapping, rows string) string {
	t.Helper()
	blocks := NewBlocks(strings.NewReader(rows), mapping)
	var out strings.Builder
	for {
		block, err := blocks.Next()
		var bad *source.BadRecord
		switch {
		case errors.Is(err, io.EOF):
			return out.String()
		case errors.As(err, &bad):
			fmt.Fprintf(&out, "bad %v\n", bad)
			continue
		case err != nil:
			return out.String() + "end " + err.Error() + "\n"
		}
		for _, r := range block.Records {
			at := ""
			if !r.Event.OccurredAt.IsZero() {
				at = r.Event.OccurredAt.UTC().Format(time.RFC3339)
			}
			fmt.Fprintf(&out, "%d %s %s %s %s %s\n", r.Line, r.Stream, r.Event.Type, at, r.Event.Data, r.Event.Metadata["case"])
		}
		out.WriteString("--\n")
	}
}

func parse(t *testing.T, file string) *Mapping {
	t.Helper()
	m, err := ParseMapping([]byte(file), "import-row")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	const header = "Invoice,StockCode,InvoiceDate,Price\n"
	for _, tc := range []struct{ name, mapping, rows, want string }{
		{
			"rows of one invoice are one commit, repeats are kept", mappingFile,
			header + "1,a,2009-12-01 07:45:00,2.10\n1,a,2009-12-01 07:45:00,2.10\n2,b,2010-06-01 07:45:00,1\n",
			"2 sales-invoice-1 LineRecorded 2009-12-01T07:45:00Z {\"stock_code\":\"a\",\"price\":\"2.10\"} 1\n" +
				"3 sales-invoice-1 LineRecorded 2009-12-01T07:45:00Z {\"stock_code\":\"a\",\"price\":\"2.10\"} 1\n--\n" +
				"4 sales-invoice-2 LineRecorded 2010-06-01T06:45:00Z {\"stock_code\":\"b\",\"price\":\"1\"} 2\n--\n",
		},
		{
			"blanks, quotes and other alphabets are kept", "stream_from: Invoice",
			"\ufeffInvoice,Text\n1,\" 7\"\" ÉTÉ \"\n1,  \n",
			`2 import-row-1 RowImported  {"Invoice":"1","Text":" 7\" ÉTÉ "} 1` + "\n" + `3 import-row-1 RowImported  {"Invoice":"1","Text":"  "} 1` + "\n--\n",
		},
		{
			"the type may come from a column, the delimiter be another", "stream_from: a\ntype_from: b\ndelimiter: ;\npayload: {c: d}",
			"a;b;c\n1;X;2,5\n", `2 import-row-1 X  {"d":"2,5"} 1` + "\n--\n",
		},
		{"a tab may be written as such", "stream_from: a\ndelimiter: tab", "a\tb\n1\t2\n", `2 import-row-1 RowImported  {"a":"1","b":"2"} 1` + "\n--\n"},
		{
			"a row over several lines counts from its first", "stream_from: a", "a,b\n1,\"x\ny\"\n2,z\n",
			`2 import-row-1 RowImported  {"a":"1","b":"x\u000ay"} 1` + "\n" + `4 import-row-2 RowImported  {"a":"2","b":"z"} 2` + "\n--\n",
		},
		{
			"a time that brings its offset needs no location", "stream_from: a\noccurred_at: {column: b, layout: 2006-01-02 15:04 -0700}",
			"a,b\n1,2020-01-01 00:00 +0000\n1,2020-01-01 00:00 +0100\n",
			`2 import-row-1 RowImported 2020-01-01T00:00:00Z {"a":"1","b":"2020-01-01 00:00 +0000"} 1` + "\n" +
				`3 import-row-1 RowImported 2019-12-31T23:00:00Z {"a":"1","b":"2020-01-01 00:00 +0100"} 1` + "\n--\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(t, parse(t, tc.mapping), tc.rows); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	const header = "Invoice,StockCode,InvoiceDate,Price\n"
	for _, tc := range []struct{ name, mapping, rows, want string }{
		{
			"a row with too few fields", "stream_from: a", "a,b\n1\n2,x\n",
			"bad line 2: row: the row has 1 fields, the first row has 2\n" + `3 import-row-2 RowImported  {"a":"2","b":"x"} 2` + "\n--\n",
		},
		{"a row that does not name its stream", "stream_from: a", "a,b\n,x\n", "bad line 2: a: is empty, but names the stream\n"},
		{"a row without a type", "stream_from: a\ntype_from: b", "a,b\n1,\n", "bad line 2: b: event type name is empty: give it at least one character that is not blank\n"},
		{"bytes that are no UTF-8", "stream_from: a", "a,b\n1,\xe9\n", "bad line 2: b: is not valid UTF-8: convert the file, for example with iconv\n"},
		{
			"a bad time takes the commit with it", mappingFile, header + "1,a,2009-12-01 07:45:00,2\n1,a,soon,2\n",
			"bad line 3: InvoiceDate: \"soon\" is no time of the layout \"2006-01-02 15:04:05\"\n" +
				"bad line 2: commit: commit 1 is left out whole: a record of it, or next to it, is broken\n",
		},
		{
			"a time without an offset is not guessed", "stream_from: a\noccurred_at: {column: b, layout: 2006-01-02}", "a,b\n1,2020-01-01\n",
			"bad line 2: b: \"2020-01-01\" has no offset from UTC: name its location in the mapping\n",
		},
		{
			"a quote that never ends ends the file", "stream_from: a", "a,b\n1,x\n2,\"y\n3,z\n",
			`2 import-row-1 RowImported  {"a":"1","b":"x"} 1` + "\n--\nend line 3: row: extraneous or missing \" in quoted-field, at line 4, column 5\n",
		},
		{"an empty file", "stream_from: a", "", "end line 1: the file is empty: its first row names the columns\n"},
		{"a column that is not there", "stream_from: x", "a,b\n", "end line 1: x: there is no such column; there are: [\"a\" \"b\"]\n"},
		{"a payload column that is not there", "stream_from: a\npayload: {x: y}", "a,b\n", "end line 1: x: there is no such column; there are: [\"a\" \"b\"]\n"},
		{"two columns of one name", "stream_from: a", "a,a\n", "end line 1: a: two columns have this name\n"},
		{"two columns under one name in the payload", "stream_from: a\npayload: {a: x, b: x}", "a,b\n", "end line 1: b: two columns go to \"x\" in the payload\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(t, parse(t, tc.mapping), tc.rows); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestParseMappingRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, file, want string }{
		{"a file without the stream", "type: T", "stream_from: name the column"},
		{"a field it does not know, with the line", "stream_from: a\nsteam: b", "[2:1] unknown field \"steam\""},
		{"broken YAML", "stream_from: [", "[1:14]"},
		{"two types", "stream_from: a\ntype: T\ntype_from: b", "type, type_from: give one of them"},
		{"a long delimiter", "stream_from: a\ndelimiter: ab", "delimiter: \"ab\" is not one character"},
		{"a category with a hyphen too much", "stream_from: a\ncategory: a-b-c", "category \"a-b-c\""},
		{"an unknown location", "stream_from: a\noccurred_at: {column: b, location: Mars/Base}", "occurred_at.location: unknown time zone Mars/Base"},
		{"a time without its column", "stream_from: a\noccurred_at: {layout: x}", "occurred_at.column: name the column"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseMapping([]byte(tc.file), "import-row")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
