package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
)

// realLog is a public event log and what other tools found in it.
type realLog struct {
	path, facts string
	events      int
	streams     int
	canonical   string // SHA-256, see canonicalForm
}

var (
	purchaseLog = realLog{
		"procurement/bpic2019_1t_per_variant.xes.gz", "facts/bpic2019_1t.json", 338247, 11973,
		"2b8bccc2fb8f19a831e8e06c9d9c55e7586d4884e7e78e3412bc0e40db11cd81",
	}
	consignmentLog = realLog{
		"procurement/bpic2019_Log_Cluster_Consignment_3.xes.gz", "facts/consignment_3.json", 1533, 511,
		"4fce14f5a37f5cd3ce0dfbe7b86e5165c2d246da7cac80d86d49f981e7abbdde",
	}
)

// realData returns the folder of real data, which lies beside the repository. Only
// where the folder itself is absent the test is skipped.
func realData(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
	data := filepath.Join(dir, "..", "shared", "data")
	if _, err := os.Stat(data); err != nil {
		t.Skipf("no real data: %v", err)
	}
	return data
}

// canonicalForm is the SHA-256 of an export's events as "case, ordinal in the case,
// type, time", and how many there are of each type.
func canonicalForm(t *testing.T, exported string) (sum string, byType map[string]int) {
	t.Helper()
	h := sha256.New()
	ordinals := make(map[string]int)
	byType = make(map[string]int)
	for line := range strings.Lines(exported) {
		var ev eventRecord
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, ev.OccurredAt)
		if err != nil {
			t.Fatal(err)
		}
		name := ev.Metadata["case"]
		ordinals[name]++
		byType[ev.Type]++
		fmt.Fprintf(h, "%s\t%d\t%s\t%s\n", name, ordinals[name], ev.Type, at.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return hex.EncodeToString(h.Sum(nil)), byType
}

// checkStore compares all that a store holds with what the log is known to hold.
func (l realLog) checkStore(t *testing.T, p *program, data string) (exported string) {
	t.Helper()
	exported = p.must("export")
	sum, byType := canonicalForm(t, exported)
	if sum != l.canonical {
		t.Errorf("got canonical form %s, want %s", sum, l.canonical)
	}
	text, err := os.ReadFile(filepath.Join(data, l.facts))
	if err != nil {
		t.Fatal(err)
	}
	var facts struct {
		PerActivity map[string]int `json:"events_per_activity"`
	}
	if err := json.Unmarshal(text, &facts); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(facts.PerActivity, byType); diff != "" {
		t.Errorf("events by type (-want +got):\n%s", diff)
	}
	want := fmt.Sprintf(`{"ok":true,"events":%d,"streams":%d,"problems":[]`, l.events, l.streams)
	if got := p.must("verify", "--deep"); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := len(lines[streamRecord](t, p.must("streams"))); got != l.streams {
		t.Errorf("got %d streams, want %d", got, l.streams)
	}
	return exported
}

var unrecorded = regexp.MustCompile(`"recorded_at":"[^"]*"`)

func TestRealLogs(t *testing.T) {
	t.Parallel()
	data := realData(t)
	for name, log := range map[string]realLog{"consignment": consignmentLog, "purchases": purchaseLog} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && log.events > 10_000 {
				t.Skip("long: reads 338,247 events several times")
			}
			p := newProgram(t)
			p.must("init", p.dir, "--index", "type,occurred,tag")
			p.env.now = time.Now
			file := filepath.Join(data, log.path)
			tagged := []string{"--format", "xes", file, "--tag", "document=metadata.case~^([0-9]+)_"}
			checkCounts(t, "first run", imported(p, exitOK, tagged...), log.events, log.streams, 0, 0)
			exported := log.checkStore(t, p, data)
			if log.events == purchaseLog.events {
				checkPurchaseQueries(t, p, exported)
			}
			checkCounts(t, "second run", imported(p, exitOK, tagged...), 0, log.streams, 0, log.events)
			if again := p.must("export"); again != exported {
				t.Error("the second run changed the store")
			}
			q := newStore(t)
			checkCounts(t, "its export", imported(q, exitOK, q.file("export.jsonl", exported)), log.events, log.streams, 0, 0)
			second := q.must("export")
			if unrecorded.ReplaceAllString(exported, "") != unrecorded.ReplaceAllString(second, "") {
				t.Error("an export of the import of an export differs in more than recorded_at")
			}
		})
	}
}

// checkPurchaseQueries asks for what other tools found in the purchase log: counts by type,
// all events of the busiest document over its items, and those of the busiest minute.
func checkPurchaseQueries(t *testing.T, p *program, exported string) {
	t.Helper()
	count := func(args ...string) int {
		return decode[struct{ Events int }](t, p.must(append([]string{"query", "--count"}, args...)...)).Events
	}
	_, byType := canonicalForm(t, exported)
	for eventType, want := range byType {
		if got := count("--type", eventType); got != want {
			t.Errorf("%s: got %d events, want %d", eventType, got, want)
		}
	}
	const document, ofDocument, ofMinute = "4507000879", 2601, 396
	page := decode[queryPage](t, p.must("query", "--tag", "document="+document, "--limit", "10000"))
	if len(page.Events) != ofDocument || page.HasMore {
		t.Errorf("document %s: got %d events, want %d", document, len(page.Events), ofDocument)
	}
	items := map[string]bool{}
	for _, doc := range page.Events {
		items[decode[eventRecord](t, string(doc)).Metadata["case"]] = true
	}
	if len(items) < 2 {
		t.Errorf("document %s: its events are of the items %v, want several", document, items)
	}
	plan := decode[planRecord](t, p.must("query", "--tag", "document="+document, "--explain"))
	if plan.Method != eventstream.PlanIndex || len(plan.Indexes) != 1 || plan.Indexes[0].Index != "tag" {
		t.Errorf("got plan %+v, want the index of tags", plan)
	}

	perMinute := map[string]int{}
	busiest := ""
	for line := range strings.Lines(exported) {
		minute := decode[eventRecord](t, line).OccurredAt[:len("2006-01-02T15:04")]
		if perMinute[minute]++; perMinute[minute] > perMinute[busiest] {
			busiest = minute
		}
	}
	if perMinute[busiest] != ofMinute {
		t.Fatalf("the busiest minute %s has %d events, want %d", busiest, perMinute[busiest], ofMinute)
	}
	if got := count("--since", busiest+":00Z", "--until", busiest+":59.999999999Z"); got != ofMinute {
		t.Errorf("the minute %s: got %d events, want %d", busiest, got, ofMinute)
	}
}

// retailMapping says how the lines of the real invoices become events.
const retailMapping = `
stream_from: Invoice
category: retail-invoice
type: LineRecorded
occurred_at: {column: InvoiceDate, layout: "2006-01-02 15:04:05", location: Europe/London}
`

const (
	retailLines    = 525461
	retailInvoices = 28816
)

func retailFile(data string) string {
	return filepath.Join(data, "retail", "online_retail_II_2009-2010.csv.gz")
}

// shared is the store of all real invoices, which is imported once and copied by each
// test that works on it.
var shared sharedStore

type sharedStore struct {
	once   sync.Once
	parent string
	result importResult
	err    error
}

// open returns the program with a copy of the store.
func (s *sharedStore) open(t *testing.T) (*program, importResult) {
	t.Helper()
	if testing.Short() {
		t.Skip("long: imports 525,461 rows")
	}
	data := realData(t)
	s.once.Do(func() {
		if s.parent, s.err = os.MkdirTemp("", "eventstream-retail-"); s.err != nil {
			return
		}
		p := newProgram(t)
		p.env.now = time.Now
		p.dir = filepath.Join(s.parent, "store")
		p.must("init", p.dir)
		s.result = imported(p, exitOK, retailFile(data), "--map", p.file("retail.yaml", retailMapping))
	})
	if s.err != nil || s.result.Source == "" {
		t.Fatalf("the real invoices were not imported: %v", s.err)
	}
	p := newProgram(t)
	p.env.now = time.Now
	copyStore(t, filepath.Join(s.parent, "store"), p.dir)
	return p, s.result
}

func (s *sharedStore) remove() error {
	if s.parent == "" {
		return nil
	}
	return os.RemoveAll(s.parent)
}

// copyStore copies a store that nobody has open. Tables never change, so both may have
// the same.
func copyStore(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case strings.HasSuffix(path, ".sst"):
			return os.Link(path, target)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRealInvoices imports half a million invoice lines, of which 6,865 repeat an
// earlier one exactly and some have no ASCII, untrimmed texts or negative prices.
func TestRealInvoices(t *testing.T) {
	t.Parallel()
	p, result := shared.open(t)
	checkCounts(t, "import", result, retailLines, retailInvoices, 0, 0)
	var lower, untrimmed int
	sum := new(big.Rat)
	for line := range strings.Lines(p.must("export")) {
		var ev struct {
			Data struct{ StockCode, Description, Quantity, Price string }
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		if strings.ToUpper(ev.Data.StockCode) != ev.Data.StockCode {
			lower++
		}
		if strings.TrimSpace(ev.Data.Description) != ev.Data.Description {
			untrimmed++
		}
		quantity, ok1 := new(big.Rat).SetString(ev.Data.Quantity)
		price, ok2 := new(big.Rat).SetString(ev.Data.Price)
		if !ok1 || !ok2 {
			t.Fatalf("no numbers in %s", line)
		}
		sum.Add(sum, quantity.Mul(quantity, price))
	}
	if lower != 1494 || untrimmed != 99583 {
		t.Errorf("got %d stock codes with lower case and %d untrimmed texts, want 1494 and 99583", lower, untrimmed)
	}
	if got, want := sum.FloatString(6), "9539484.634000"; got != want {
		t.Errorf("got a sum of quantity × price of %s, want %s", got, want)
	}
}

// unzip returns the content of a file, whole.
func unzip(t *testing.T, path string) io.Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(text)
}
