package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// varied is a store with every kind of payload and label, and a commit over two streams.
func varied(t *testing.T) *program {
	t.Helper()
	p := newStore(t)
	p.with(strings.Join([]string{
		`{"commit":1,"stream":"finance-account-1","type":"Posted","data":{"amount":12.50,"text":"a \"b\" <c> ü","ok":true,"lines":[1]},"metadata":{"doc":"d1","site":"n"},"correlation_id":"c","causation_id":"e","user_id":"ada","schema_version":3,"occurred_at":"2026-01-01T10:00:00.123456789Z"}`,
		`{"commit":1,"stream":"finance-account-2","type":"Posted","data":{"amount":-12.50},"metadata":{"doc":"d1"}}`,
		`{"stream":"notes","type":"Attached","data_base64":"AP8Q"}`,
		`{"stream":"notes","type":"Emptied"}`,
		`{"stream":"notes","type":"Named","data":"only a text"}`,
		`{"stream":"notes","type":"Nulled","data":null,"codec":"json"}`,
		`{"stream":"notes","type":"Packed","data":{"n":9007199254740993,"t":"x"},"codec":"msgpack"}`,
	}, "\n")).must("append", "-")
	return p
}

// schema compiles a JSON schema of the real data.
func schema(t *testing.T, path string) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open(filepath.Join(realData(t), path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("%v in %s", err, text)
	}
}

var differs = regexp.MustCompile(`"(recorded_at|recordedtime|source)":"[^"]*"`)

func TestAnExportAsCloudEventsComesBackTheSame(t *testing.T) {
	t.Parallel()
	p := varied(t)
	batch := p.must("export", "--format", "cloudevents")
	s := schema(t, "cloudevents/cloudevents.json")
	var events []json.RawMessage
	if err := json.Unmarshal([]byte(batch), &events); err != nil || len(events) != 7 {
		t.Fatalf("got %d events, %v", len(events), err)
	}
	name := regexp.MustCompile(`^[a-z0-9]+$|^data_base64$`)
	for _, e := range events {
		validate(t, s, string(e))
		for _, attribute := range strings.Fields(keysOf(t, string(e))) {
			if !name.MatchString(attribute) {
				t.Errorf("attribute %q is not lower-case letters and digits", attribute)
			}
		}
	}
	q := newStore(t)
	got := imported(q, exitOK, "--format", "cloudevents", p.file("events.json", batch))
	checkCounts(t, "a batch", got, 7, 3, 0, 0)
	want := differs.ReplaceAllString(p.must("export"), "")
	if diff := cmp.Diff(want, differs.ReplaceAllString(q.must("export"), "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(differs.ReplaceAllString(batch, ""), differs.ReplaceAllString(q.must("export", "--format", "cloudevents"), "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var one strings.Builder
	for _, e := range events { // one after the other, without an array
		one.Write(e)
		one.WriteString("\n\n")
	}
	checkCounts(t, "again, one by one", imported(q, exitOK, "--format", "cloudevents", p.file("events2.json", one.String())), 0, 3, 0, 7)
	if got := newStore(t).must("export", "--format", "cloudevents"); got != "[]\n" {
		t.Errorf("an empty store: got %q", got)
	}
}

func TestCloudEventsFromElsewhere(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	// The first is the example of the specification's JSON format, section 3.
	batch := `[
	{"specversion":"1.0","type":"com.example.someevent","source":"/mycontext","subject":null,"id":"C234-1234-1234","time":"2018-04-05T17:31:00Z",
	 "comexampleextension1":"value","comexampleothervalue":5,"datacontenttype":"application/json","data":{"appinfoA":"abc","appinfoB":123,"appinfoC":true}},
	{"specversion":"1.0","type":"com.example.file","source":"/mycontext","id":"B234","subject":"my new file.jpg","datacontenttype":"image/png","data_base64":"AAEC",
	 "traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	{"specversion":"1.0","type":"com.example.file","source":"/other","id":"B234"}
	]`
	args := []string{"--format", "cloudevents", "--category", "hub-event"}
	checkCounts(t, "first", imported(p, exitOK, append(args, p.file("a.json", batch))...), 3, 3, 0, 0)
	checkCounts(t, "in another file", imported(p, exitOK, append(args, p.file("b.json", " "+batch))...), 0, 3, 0, 3)
	got := lines[eventRecord](t, p.must("all"))
	if m := got[0].Metadata; m["cloudevents.id"] != "C234-1234-1234" || m["cloudevents.source"] != "/mycontext" ||
		m["cloudevents.comexampleextension1"] != "value" || m["cloudevents.comexampleothervalue"] != "5" {
		t.Errorf("got metadata %v", m)
	}
	if got[0].Type != "com.example.someevent" || got[0].OccurredAt != "2018-04-05T17:31:00Z" || string(got[0].Data) != `{"appinfoA":"abc","appinfoB":123,"appinfoC":true}` {
		t.Errorf("got %+v", got[0])
	}
	if !strings.HasPrefix(got[1].Stream, "hub-event-") || got[1].Metadata["cloudevents.subject"] != "my new file.jpg" {
		t.Errorf("got %+v", got[1])
	}
	if got[1].Stream == got[2].Stream || got[1].EventID == got[2].EventID {
		t.Errorf("events of two sources are one: %+v, %+v", got[1], got[2])
	}
	if rows := lines[traceRow](t, p.must("trace", "4bf92f3577b34da6a3ce929d0e0e4736", "-o", "jsonl")); len(rows) != 1 {
		t.Errorf("got %+v", rows)
	}
}

func TestBrokenCloudEventsSayWhere(t *testing.T) {
	t.Parallel()
	whole := `{"specversion":"1.0","type":"t","source":"s","id":"i"}`
	for _, tt := range []struct{ text, message string }{
		{"[\n" + whole + ",\n{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"s\"}]", ":3: id: it is required"},
		{"[" + whole + ",\n\n7]", ":3: not a JSON object"},
		{strings.Replace(whole, "1.0", "0.3", 1), `specversion: "0.3" is not read`},
		{strings.Replace(whole, `"t"`, "7", 1), ":1: type: it must be a text"},
		{strings.Replace(whole, `{`, `{"Bad":"x",`, 1), "Bad: names of attributes"},
		{strings.Replace(whole, `{`, `{"ext":{},`, 1), "ext: an extension is"},
		{strings.Replace(whole, `{`, `{"data":1,"data_base64":"AA==",`, 1), "data_base64: an event has either"},
		{strings.Replace(whole, `{`, `{"data_base64":"A",`, 1), "data_base64: illegal base64"},
		{strings.Replace(whole, `{`, `{"time":"yesterday",`, 1), "time: "},
		{strings.Replace(whole, `{`, `{"eventmetadata":"[]",`, 1), "eventmetadata: it must be"},
		{strings.Replace(whole, `{`, `{"schemaversion":"-1",`, 1), "schemaversion: "},
		{strings.Replace(whole, `{`, `{"payloadcodec":"xml",`, 1), "payloadcodec: "},
		{strings.Replace(whole, `{`, `{"streamposition":"1","commitposition":"1","subject":"s",`, 1), "id: "},
		{"[\n" + whole, "the text ends within"},
		{"[" + whole + "]\n[]", "follows the array"},
		{"[\n" + whole + "\n" + whole + "]", ":3: not CloudEvents"},
		{"nonsense", ":1: not CloudEvents"},
	} {
		p := newStore(t)
		p.fails(exitError, tt.message, "import", "--format", "cloudevents", p.file("events.json", tt.text))
		if got := p.must("all"); got != "" {
			t.Errorf("%s: something was loaded: %s", tt.text, got)
		}
	}
	p := newStore(t)
	file := p.file("events.json", "["+whole+",7,"+strings.Replace(whole, `"i"`, `"j"`, 1)+"]")
	checkCounts(t, "skipping", imported(p, exitOK, "--format", "cloudevents", "--skip-bad", file), 2, 1, 1, 0)
	checkCounts(t, "empty", imported(p, exitOK, "--format", "cloudevents", p.file("none.json", "[]")), 0, 0, 0, 0)
	checkCounts(t, "nothing", imported(p, exitOK, "--format", "cloudevents", p.file("blank.json", " \n")), 0, 0, 0, 0)
}

func TestAnExportAsOCEL(t *testing.T) {
	t.Parallel()
	p := varied(t)
	text := p.must("export", "--format", "ocel", "--tag", "doc")
	validate(t, schema(t, "ocel/pm4py_schema_ocel2.json"), text)
	type relation struct{ ObjectID, Qualifier string }
	log := decode[struct {
		EventTypes, ObjectTypes []struct {
			Name       string
			Attributes []struct{ Name, Type string }
		}
		Events []struct {
			ID, Type, Time string
			Attributes     []struct{ Name, Value string }
			Relationships  []relation
		}
		Objects []struct{ ID, Type string }
	}](t, text)
	if got := fmt.Sprint(log.ObjectTypes); got != "[{doc []} {finance-account []} {stream []}]" {
		t.Errorf("got object types %s", got)
	}
	if got := fmt.Sprint(log.Objects); got != "[{doc=d1 doc} {finance-account-1 finance-account} {finance-account-2 finance-account} {notes stream}]" {
		t.Errorf("got objects %s", got)
	}
	if len(log.Events) != 7 || len(log.EventTypes) != 6 {
		t.Fatalf("got %d events of %d types", len(log.Events), len(log.EventTypes))
	}
	first := log.Events[0]
	if got := fmt.Sprint(first.Attributes); got != `[{amount 12.50} {ok true} {text a "b" <c> ü}]` {
		t.Errorf("got attributes %s", got)
	}
	if got := fmt.Sprint(first.Relationships); got != "[{finance-account-1 stream} {finance-account-2 commit} {doc=d1 tag}]" {
		t.Errorf("got relationships %s", got)
	}
	declared := map[string]bool{}
	for _, et := range log.EventTypes {
		for _, a := range et.Attributes {
			declared[et.Name+"."+a.Name] = true
		}
	}
	objects := map[string]bool{}
	for _, o := range log.Objects {
		objects[o.ID] = true
	}
	for _, e := range log.Events {
		for _, a := range e.Attributes {
			if !declared[e.Type+"."+a.Name] {
				t.Errorf("attribute %s of %s is not declared", a.Name, e.Type)
			}
		}
		for _, r := range e.Relationships {
			if !objects[r.ObjectID] {
				t.Errorf("object %s is not listed", r.ObjectID)
			}
		}
	}
	p.fails(exitUsage, "ocel", "export", "--tag", "doc")
	p.fails(exitUsage, "not known", "export", "--format", "xml")
	validate(t, schema(t, "ocel/pm4py_schema_ocel2.json"), newStore(t).must("export", "--format", "ocel"))
}

func TestAnExportAsCSVSaysAllOfAnEvent(t *testing.T) {
	t.Parallel()
	p := varied(t)
	rows, err := csv.NewReader(strings.NewReader(p.must("export", "--format", "csv", "--from", "1", "--to", "7"))).ReadAll()
	if err != nil || len(rows) != 8 {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	for i, line := range strings.Split(strings.TrimSpace(p.must("export")), "\n") {
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		for c, name := range rows[0] {
			text, got := string(want[name]), rows[i+1][c]
			var unquoted string
			if name != "data" && json.Unmarshal(want[name], &unquoted) == nil {
				text = unquoted
			}
			if name == "data" && rows[i+1][len(rows[0])-1] != "" || text == "" && name == "data_base64" || name == "data" && text == "null" && got == "" {
				continue
			}
			if got != text {
				t.Errorf("row %d, %s: got %q, want %q", i+1, name, got, text)
			}
		}
	}
}

func TestTheConsignmentLogAsOCELAndCloudEvents(t *testing.T) {
	t.Parallel()
	data := realData(t)
	p := newStore(t)
	imported(p, exitOK, "--format", "xes", filepath.Join(data, consignmentLog.path))
	validate(t, schema(t, "ocel/pm4py_schema_ocel2.json"), p.must("export", "--format", "ocel", "--tag", "case"))
	q := newStore(t)
	file := p.file("events.json", p.must("export", "--format", "cloudevents"))
	checkCounts(t, "as CloudEvents", imported(q, exitOK, "--format", "cloudevents", file), consignmentLog.events, consignmentLog.streams, 0, 0)
	if differs.ReplaceAllString(p.must("export"), "") != differs.ReplaceAllString(q.must("export"), "") {
		t.Error("what came back differs")
	}
}
