package estest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/codec"
)

var _ = flag.Bool("update", false, "write the golden files anew")

type paid struct {
	Amount amount `msgpack:"amount" json:"amount"`
}

type amount struct {
	Cents    int64  `msgpack:"cents" json:"cents"`
	Currency string `msgpack:"currency" json:"currency"`
}

type owner struct {
	Owner string `msgpack:"owner" json:"owner"`
}

// paidSteps are the steps of a payment: euros as a text, cents, cents with a currency.
func paidSteps() []codec.Registration {
	type v1 struct {
		Euros string `msgpack:"euros" json:"euros"`
	}
	type v2 struct {
		Cents int64 `msgpack:"cents" json:"cents"`
	}
	return []codec.Registration{
		codec.Type[paid]("Paid", 3),
		codec.Upcast("Paid", 1, 2, func(old v1) (v2, error) {
			var euros, cents int64
			if _, err := fmt.Sscanf(old.Euros, "%d.%d", &euros, &cents); err != nil {
				return v2{}, codec.MissingField("euros")
			}
			return v2{100*euros + cents}, nil
		}),
		codec.Upcast("Paid", 2, 3, func(old v2) (paid, error) { return paid{amount{old.Cents, "EUR"}}, nil }),
	}
}

func upcastRegistry(t testing.TB, more ...codec.Registration) *codec.Registry {
	t.Helper()
	r, err := codec.NewRegistry(append(paidSteps(), more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func allSteps(t testing.TB) *codec.Registry {
	t.Helper()
	return upcastRegistry(t,
		codec.Type[owner]("Opened", 1),
		codec.Rename("Payed", 1, codec.Target{Type: "Paid", Schema: 1}),
		codec.Drop("Noise", 1),
		codec.Split("OpenedWithPayment", 1, []codec.Target{{Type: "Opened", Schema: 1}, {Type: "Paid", Schema: 2}},
			func(p codec.Payload) ([]codec.Payload, error) {
				var both map[string]json.RawMessage
				if err := codec.Decode(p.Codec, p.Type, p.Schema, p.Data, &both); err != nil {
					return nil, err
				}
				return []codec.Payload{
					{Type: "Opened", Schema: 1, Data: fmt.Appendf(nil, `{"owner":%s}`, both["owner"])},
					{Type: "Paid", Schema: 2, Data: fmt.Appendf(nil, `{"cents":%s}`, both["cents"])},
				}, nil
			}),
	)
}

// A chain of three versions, a renamed, a split and a dropped type, over what was stored
// of each.
func TestGoldenFilesOfEachVersion(t *testing.T) {
	t.Parallel()
	CheckUpcastFiles(t, allSteps(t), filepath.Join("testdata", "upcasts"))
}

func TestGoldenValuesOfEachVersion(t *testing.T) {
	t.Parallel()
	want := []any{paid{amount{1234, "EUR"}}}
	CheckUpcasts(t, upcastRegistry(t),
		GoldenPayload{"Paid", 1, codec.JSON, []byte(`{"euros":"12.34"}`), want},
		GoldenPayload{"Paid", 2, codec.Msgpack, []byte("\x81\xa5cents\xcd\x04\xd2"), want},
		GoldenPayload{"Paid", 3, codec.JSON, []byte(`{"amount":{"cents":1234,"currency":"EUR"}}`), want},
	)
}

func TestWhatCheckUpcastsFinds(t *testing.T) {
	t.Parallel()
	v1 := GoldenPayload{"Paid", 1, codec.JSON, []byte(`{"euros":"12.34"}`), []any{paid{amount{1234, "EUR"}}}}
	into := []codec.Target{{Type: "Paid", Schema: 1}}
	calls := 0
	split := func(fn func(p codec.Payload) ([]codec.Payload, error)) codec.Registration {
		return codec.Split("Old", 1, into, fn)
	}
	old := GoldenPayload{"Old", 1, codec.JSON, []byte(`{"euros":"12.34"}`), v1.Want}
	for _, tt := range []struct {
		name    string
		more    []codec.Registration
		goldens []GoldenPayload
		want    string // "" finds nothing
	}{
		{"nothing", nil, []GoldenPayload{v1}, ""},
		{"a step that no payload goes through", []codec.Registration{codec.Drop("Noise", 1)}, []GoldenPayload{v1}, `no golden payload goes through the step of "Noise" from schema version 1`},
		{"another value", nil, []GoldenPayload{{"Paid", 1, codec.JSON, []byte(`{"euros":"12.35"}`), v1.Want}}, "Cents:1235"},
		{"another number of values", nil, []GoldenPayload{{"Paid", 1, codec.JSON, v1.Data, nil}}, "got 1 values"},
		{"a payload that a step refuses", nil, []GoldenPayload{v1, {"Paid", 1, codec.JSON, []byte(`{}`), v1.Want}}, "missing required field"},
		{"a payload that does not decode", nil, []GoldenPayload{v1, {"Paid", 3, codec.JSON, []byte(`5`), v1.Want}}, "decode json payload"},
		{"a step that writes into its payload", []codec.Registration{split(func(p codec.Payload) ([]codec.Payload, error) {
			p.Data[10] = '9'
			p.Type = "Paid"
			return []codec.Payload{p}, nil
		})}, []GoldenPayload{v1, old}, "changes the bytes that it is given"},
		{"a step that gives something else each time", []codec.Registration{split(func(codec.Payload) ([]codec.Payload, error) {
			calls++
			return []codec.Payload{{Type: "Paid", Schema: 1, Data: fmt.Appendf(nil, `{"euros":"%d.00"}`, calls)}}, nil
		})}, []GoldenPayload{v1, old}, ", and then "},
	} {
		r := upcastRegistry(t, tt.more...)
		fake := &fakeTest{TB: t}
		got := fake.run(func() { CheckUpcasts(fake, r, tt.goldens...) })
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestWhatCheckUpcastFilesFinds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no files", nil, "holds no payloads"},
		{"a payload without what is expected", map[string]string{"Paid.v1.json": `{"euros":"1.00"}`}, "run the test with -update"},
		{"something else than expected", map[string]string{"Paid.v1.json": `{"euros":"1.00"}`, "Paid.v1.json.golden": "{}\n"}, `"cents":100`},
		{"a file of another name", map[string]string{"Paid.json": `{}`}, "TYPE.vSCHEMA.CODEC"},
		{"a version that is none", map[string]string{"Paid.vX.json": `{}`}, "schema version"},
		{"a codec that is none", map[string]string{"Paid.v1.xml": `{}`}, `unknown codec "xml"`},
		{"a payload that does not decode", map[string]string{"Paid.v3.json": `5`}, "decode json payload"},
	} {
		dir := t.TempDir()
		for name, text := range tt.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		fake := &fakeTest{TB: t}
		got := fake.run(func() { CheckUpcastFiles(fake, upcastRegistry(t), dir) })
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
