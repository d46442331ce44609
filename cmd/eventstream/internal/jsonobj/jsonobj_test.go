package jsonobj

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, doc, want string }{
		{"an empty object has no fields", ` { } `, ``},
		{"fields keep their order", `{"b":1,"a":2}`, `b=1|a=2|`},
		{"a number keeps every digit", `{"n":1.100000000000000000000000000001e+5}`, `n=1.100000000000000000000000000001e+5|`},
		{"nested values stay whole", ` {"o" : {"x":[1,{"y":"}]"}]} , "l":[ ] , "t":true}`, `o={"x":[1,{"y":"}]"}]}|l=[ ]|t=true|`},
		{"an escaped quote does not end a string", `{"a\"b":"c\\","d":"\""}`, `a"b="c\\"|d="\""|`},
		{"names that differ in case are two", `{"a":1,"A":2}`, `a=1|A=2|`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			fields, err := Parse(nil, []byte(tc.doc))
			if err != nil {
				t.Fatalf("Parse(%s): %v", tc.doc, err)
			}
			var got strings.Builder
			for _, f := range fields {
				got.WriteString(f.Name + "=" + string(f.Value) + "|")
			}
			if got.String() != tc.want {
				t.Errorf("got %s, want %s", got.String(), tc.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, doc, want string }{
		{"broken JSON, with the byte", `{"a":1,}`, "at byte 8"},
		{"an empty text", ``, "not valid JSON"},
		{"an array", `[1]`, "not a JSON object"},
		{"a field that comes twice", `{"a":1,"\u0061":2}`, `field "a" comes twice`},
		{"bytes that are no UTF-8", "{\"a\":\"\xff\"}", "not valid UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(nil, []byte(tc.doc))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Parse(%q): got %v, want %q", tc.doc, err, tc.want)
			}
		})
	}
}

// FuzzParse compares with encoding/json: what it reads as an object without
// repeated names, Parse reads alike.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":[1,2,"}"]}}`))
	f.Add([]byte(` {"\ud83d\ude00" : "x\\" } `))
	f.Add([]byte(`{"a":-0.0e1,"":null}`))
	f.Add([]byte(`[{}]`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		fields, err := Parse(nil, doc)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatalf("Parse accepts %q, encoding/json says %v", doc, err)
		}
		if len(fields) != len(want) {
			t.Fatalf("%q: got %d fields, want %d", doc, len(fields), len(want))
		}
		for _, f := range fields {
			if !bytes.Equal(f.Value, want[f.Name]) {
				t.Errorf("%q: field %q: got %s, want %s", doc, f.Name, f.Value, want[f.Name])
			}
		}
	})
}
