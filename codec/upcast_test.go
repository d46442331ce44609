package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// The three versions of an event: amounts in euros as a text, then in cents, then with
// a currency and in a nested object.
type (
	paidV1 struct {
		Euros string `msgpack:"euros" json:"euros"`
	}
	paidV2 struct {
		Cents int64 `msgpack:"cents" json:"cents"`
	}
	paid struct {
		Amount amount `msgpack:"amount" json:"amount"`
	}
	amount struct {
		Cents    int64  `msgpack:"cents" json:"cents"`
		Currency string `msgpack:"currency" json:"currency"`
	}
)

func toCents(old paidV1) (paidV2, error) {
	if old.Euros == "" {
		return paidV2{}, codec.MissingField("euros")
	}
	var euros, cents int64
	if _, err := fmt.Sscanf(old.Euros, "%d.%d", &euros, &cents); err != nil {
		return paidV2{}, err
	}
	return paidV2{Cents: 100*euros + cents}, nil
}

func withCurrency(old paidV2) (paid, error) {
	return paid{Amount: amount{Cents: old.Cents, Currency: "EUR"}}, nil
}

func payments(t testing.TB, more ...codec.Registration) *codec.Registry {
	t.Helper()
	return mustRegistry(t, append(more,
		codec.Type[paid]("Paid", 3),
		codec.Upcast("Paid", 2, 3, withCurrency), // the order of registrations does not matter
		codec.Upcast("Paid", 1, 2, toCents),
	)...)
}

func payload(eventType string, schema keys.SchemaVersion, text string) codec.Payload {
	return codec.Payload{EventID: keys.EventID{15: 7}, Type: eventType, Schema: schema, Codec: codec.JSON, Data: []byte(text)}
}

// C13: the whole chain, and what is left of it from the middle.
func TestUpcastAppliesTheStepsThatAreLeft(t *testing.T) {
	t.Parallel()
	r := payments(t)
	for _, p := range []codec.Payload{
		payload("Paid", 1, `{"euros":"12.34"}`),
		payload("Paid", 2, `{"cents":1234}`),
		payload("Paid", 3, `{"amount":{"cents":1234,"currency":"EUR"}}`),
	} {
		if got := decodeOne(t, r, p); got != (paid{amount{1234, "EUR"}}) {
			t.Errorf("version %d: got %+v", p.Schema, got)
		}
		again, err := codec.FromJSON(codec.Msgpack, p.Data)
		if err != nil {
			t.Fatal(err)
		}
		p.Codec, p.Data = codec.Msgpack, again
		if got := decodeOne(t, r, p); got != (paid{amount{1234, "EUR"}}) {
			t.Errorf("version %d in msgpack: got %+v", p.Schema, got)
		}
	}
}

// C13: the payload itself goes on in its own codec.
func TestUpcastKeepsTheCodec(t *testing.T) {
	t.Parallel()
	got, err := payments(t).Upcast(nil, payload("Paid", 1, `{"euros":"12.34"}`))
	want := []codec.Payload{payload("Paid", 3, `{"amount":{"cents":1234,"currency":"EUR"}}`)}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, (-want +got):\n%s", err, diff)
	}
}

// C13: at the latest version, of a type without steps, of a type that is not known.
func TestUpcastLeavesWhatNeedsNoStep(t *testing.T) {
	t.Parallel()
	r := payments(t, codec.Type[opened]("Opened", 1))
	for _, p := range []codec.Payload{
		payload("Paid", 3, `{"amount":{}}`),
		payload("Opened", 1, `{"owner":"Ada"}`),
		payload("Unheard", 9, `nonsense`),
	} {
		got, err := r.Upcast(nil, p)
		if diff := cmp.Diff([]codec.Payload{p}, got); diff != "" || err != nil {
			t.Errorf("%s %d: error %v, (-want +got):\n%s", p.Type, p.Schema, err, diff)
		}
	}
}

// C13: a gap is found when the registry is built, not years later.
func TestAVersionGapDoesNotBuild(t *testing.T) {
	t.Parallel()
	keep := func(p map[string]any) (map[string]any, error) { return p, nil }
	up := func(from, to keys.SchemaVersion) codec.Registration { return codec.Upcast("X", from, to, keep) }
	typed := func(schema keys.SchemaVersion) codec.Registration { return codec.Type[map[string]any]("X", schema) }
	for _, tt := range []struct {
		name string
		regs []codec.Registration
		want string // "" builds
	}{
		{"no gap", []codec.Registration{typed(3), up(1, 2), up(2, 3)}, ""},
		{"a gap in the middle", []codec.Registration{typed(4), up(1, 2), up(3, 4)}, `"X" schema version 2: version gap`},
		{"a gap at the start", []codec.Registration{typed(3), up(2, 3)}, `"X" schema version 1: version gap`},
		{"no step at all", []codec.Registration{typed(2)}, `"X" schema version 1: version gap`},
		{"a gap at the end", []codec.Registration{typed(3), up(1, 2)}, `"X" schema version 2: version gap`},
		{"a jump", []codec.Registration{typed(4), up(1, 4)}, ""},
		{"a jump over a step", []codec.Registration{typed(4), up(1, 3), up(2, 3), up(3, 4)}, ""},
		{"a jump into a gap", []codec.Registration{typed(9), up(1, 5), up(6, 9)}, `"X" schema version 5: version gap`},
		{"a jump to a version that another jump leads past", []codec.Registration{typed(5), up(1, 3), up(2, 4), up(4, 5)}, `"X" schema version 1: the step leads to version 3, from which no step leads on`},
		{"a first version", []codec.Registration{typed(9), codec.Since("X", 9)}, ""},
		{"a first version with steps", []codec.Registration{typed(9), codec.Since("X", 8), up(8, 9)}, ""},
		{"a step below the first version", []codec.Registration{typed(9), codec.Since("X", 8), up(7, 9), up(8, 9)}, "a step leads on from it, and the first version is 8"},
		{"a first version above the present one", []codec.Registration{typed(2), codec.Since("X", 3)}, "its first version lies above its present one"},
		{"two first versions", []codec.Registration{typed(2), codec.Since("X", 2), codec.Since("X", 2)}, "given twice"},
		{"a first version of nothing", []codec.Registration{codec.Since("X", 2)}, "nothing is registered for it"},
		{"a step from the present version", []codec.Registration{typed(2), up(1, 2), up(2, 3)}, "a step leads on from it, and the present version is 2"},
		{"a step past the present version", []codec.Registration{typed(2), up(1, 3)}, `the step leads to "X" schema version 3, and the present version is 2`},
		{"no Go type", []codec.Registration{up(1, 2)}, `"X" schema version 2: version gap: no step leads on from it, and no Go type`},
		{"a duplicate step", []codec.Registration{typed(2), up(1, 2), up(1, 2)}, `"X" schema version 1: two steps lead on from it`},
		{"no advance", []codec.Registration{typed(2), up(1, 1)}, "the step does not advance: it leads to version 1"},
		{"a step back", []codec.Registration{typed(3), up(1, 2), up(2, 1)}, "the step does not advance: it leads to version 1"},
		{"a step from version 0", []codec.Registration{typed(1), up(0, 1)}, "from 1 to"},
		{"a step to version 0", []codec.Registration{typed(1), up(1, 0)}, "does not advance"},
		{"the greatest version", []codec.Registration{typed(1<<31 - 1), up(1, 1<<31-1)}, ""},
		{"a version beyond all", []codec.Registration{typed(1 << 31)}, "from 1 to"},
		{"a step without a function", []codec.Registration{typed(2), codec.Upcast[map[string]any, map[string]any]("X", 1, 2, nil)}, "no function"},
	} {
		_, err := codec.NewRegistry(tt.regs...)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: got %v, want a registry", tt.name, err)
			}
			continue
		}
		if fault := new(*codec.RegistryError); !errors.As(err, fault) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// C13: a step whose target is no later than its source would loop for ever; over
// several types that is a circle.
func TestStepsThatLeadBackDoNotBuild(t *testing.T) {
	t.Parallel()
	to := func(name string, schema keys.SchemaVersion) codec.Target {
		return codec.Target{Type: name, Schema: schema}
	}
	split := func(p codec.Payload) ([]codec.Payload, error) { return nil, nil }
	for _, tt := range []struct {
		name string
		regs []codec.Registration
		want string
	}{
		{"two types", []codec.Registration{codec.Rename("A", 1, to("B", 1)), codec.Rename("B", 1, to("A", 1))}, "circle"},
		{"three types, by a split", []codec.Registration{
			codec.Rename("A", 1, to("B", 1)), codec.Rename("B", 1, to("C", 2)),
			codec.Type[opened]("D", 1), codec.Since("C", 2), codec.Split("C", 2, []codec.Target{to("D", 1), to("A", 1)}, split),
		}, "circle"},
		{"to and fro, upward", []codec.Registration{
			codec.Rename("A", 1, to("B", 1)), codec.Rename("B", 1, to("A", 2)), codec.Rename("A", 2, to("B", 2)), codec.Type[opened]("B", 2),
		}, ""},
		{"to itself", []codec.Registration{codec.Type[opened]("A", 2), codec.Rename("A", 1, to("A", 2))}, "renamed to itself"},
		{"to a type that is not registered", []codec.Registration{codec.Rename("A", 1, to("B", 1))}, `leads to "B", which is not registered`},
		{"to a version that is not registered", []codec.Registration{codec.Type[opened]("B", 1), codec.Rename("A", 1, to("B", 2))}, `leads to "B" schema version 2, and the present version is 1`},
		{"to a version that events never had", []codec.Registration{codec.Type[opened]("B", 3), codec.Since("B", 3), codec.Rename("A", 1, to("B", 2))}, `leads to "B" schema version 2, which is not registered`},
		{"into nothing", []codec.Registration{codec.Split("A", 1, nil, split)}, "use Drop"},
		{"without a function", []codec.Registration{codec.Type[opened]("B", 1), codec.Split("A", 1, []codec.Target{to("B", 1)}, nil)}, "no function"},
	} {
		_, err := codec.NewRegistry(tt.regs...)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: got %v, want a registry", tt.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// C13, E9: whatever a step does wrong names type, versions and reason, and keeps the cause.
func TestUpcastErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("no")
	into := []codec.Target{{Type: "X", Schema: 2}}
	for _, tt := range []struct {
		name   string
		step   codec.Registration
		data   string
		reason string
		want   string
		cause  error
	}{
		{"an error", codec.Upcast("X", 1, 2, func(opened) (opened, error) { return opened{}, cause }), `{"owner":"a"}`, codec.ReasonFailed, "step failed: no", cause},
		{"a panic", codec.Upcast("X", 1, 2, func(opened) (opened, error) { panic("oh") }), `{"owner":"a"}`, codec.ReasonFailed, "step failed: panic: oh", nil},
		{"a missing field", codec.Upcast("X", 1, 2, func(opened) (opened, error) { return opened{}, codec.MissingField("owner") }), `{"owner":"a"}`, codec.ReasonMissingField, `missing required field: field "owner" is missing`, nil},
		{"a payload that does not decode", codec.Upcast("X", 1, 2, func(o opened) (opened, error) { return o, nil }), `{"owner":5}`, codec.ReasonFailed, `decode json payload of "X", schema version 1`, nil},
		{"a result that does not encode", codec.Upcast("X", 1, 2, func(opened) (any, error) { return func() {}, nil }), `{"owner":"a"}`, codec.ReasonFailed, "encode json payload", nil},
		{"a result that does not decode", codec.Upcast("X", 1, 2, func(opened) (any, error) { return map[string]int{"owner": 1}, nil }), `{"owner":"a"}`, codec.ReasonResult, `"X", schema version 2`, nil},
		{"a result that it does not declare", codec.Split("X", 1, into, func(p codec.Payload) ([]codec.Payload, error) {
			p.Type, p.Schema = "Y", 2
			return []codec.Payload{p}, nil
		}), `{"owner":"a"}`, codec.ReasonResult, `does not lead there: declare it in into: "Y" schema version 2`, nil},
		{"a result that it did not advance", codec.Split("X", 1, into, func(p codec.Payload) ([]codec.Payload, error) {
			return []codec.Payload{p}, nil
		}), `{"owner":"a"}`, codec.ReasonResult, `"X" schema version 1`, nil},
		{"a result of any size", codec.Split("X", 1, into, func(p codec.Payload) ([]codec.Payload, error) {
			p.Schema, p.Data = 2, bytes.Repeat([]byte(" "), 17<<20)
			return []codec.Payload{p}, nil
		}), `{"owner":"a"}`, codec.ReasonResult, "exceeds", nil},
		{"more results than any event is", codec.Split("X", 1, into, func(codec.Payload) ([]codec.Payload, error) {
			return make([]codec.Payload, 1001), nil
		}), `{"owner":"a"}`, codec.ReasonResult, "1001 payloads of one", nil},
	} {
		r := mustRegistry(t, codec.Type[opened]("X", 2), tt.step)
		_, err := r.Decode(nil, payload("X", 1, tt.data))
		var up *codec.UpcastError
		if !errors.As(err, &up) || up.EventID != (keys.EventID{15: 7}) || up.Type != "X" || up.From != 1 || up.To != 2 || up.Reason != tt.reason || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an *UpcastError of X from 1 to 2 with %q", tt.name, err, tt.want)
		}
		if tt.cause != nil && !errors.Is(err, tt.cause) {
			t.Errorf("%s: the cause is lost: %v", tt.name, err)
		}
		if !errors.Is(err, codec.ErrCodec) || !strings.Contains(err.Error(), (keys.EventID{15: 7}).String()) {
			t.Errorf("%s: %v does not match ErrCodec or name the event", tt.name, err)
		}
	}
}

// The second step of a chain is named, not the first.
func TestUpcastErrorsNameTheStepThatFailed(t *testing.T) {
	t.Parallel()
	r := mustRegistry(t, codec.Type[opened]("X", 3),
		codec.Upcast("X", 1, 2, func(o opened) (opened, error) { return o, nil }),
		codec.Upcast("X", 2, 3, func(o opened) (opened, error) { return o, codec.MissingField("owner") }),
	)
	_, err := r.Decode(nil, payload("X", 1, `{"owner":"a"}`))
	var up *codec.UpcastError
	if !errors.As(err, &up) || up.From != 2 || up.To != 3 {
		t.Errorf("got %v, want a fault of the step from 2 to 3", err)
	}
}

// C13: an event of the future is an error, of a type that is registered and of one that
// was renamed.
func TestAVersionOfTheFutureIsAnError(t *testing.T) {
	t.Parallel()
	r := payments(t, codec.Rename("Payed", 1, codec.Target{Type: "Paid", Schema: 1}))
	for eventType, known := range map[string]keys.SchemaVersion{"Paid": 3, "Payed": 1} {
		_, err := r.Decode(nil, payload(eventType, 4, `{}`))
		var newer *codec.NewerSchemaError
		if !errors.As(err, &newer) || newer.Type != eventType || newer.Schema != 4 || newer.Known != known {
			t.Errorf("%s: got %v, want a *NewerSchemaError with %d known", eventType, err, known)
		}
	}
}

// A jump says that no event has the versions in between.
func TestAVersionThatWasJumpedOverIsAnError(t *testing.T) {
	t.Parallel()
	r := mustRegistry(t, codec.Type[opened]("X", 3), codec.Upcast("X", 1, 3, func(o opened) (opened, error) { return o, nil }))
	if got := decodeOne(t, r, payload("X", 1, `{"owner":"a"}`)); got != (opened{"a"}) {
		t.Errorf("got %v", got)
	}
	_, err := r.Decode(nil, payload("X", 2, `{"owner":"a"}`))
	var up *codec.UpcastError
	if !errors.As(err, &up) || up.Reason != codec.ReasonGap || up.From != 2 || up.To != 3 {
		t.Errorf("got %v, want a version gap from 2 to 3", err)
	}
}

func TestRenamedTypesGoOnWithTheirNewSteps(t *testing.T) {
	t.Parallel()
	r := payments(t,
		codec.Rename("Payed", 1, codec.Target{Type: "Paid", Schema: 1}),
		codec.Rename("Payed", 2, codec.Target{Type: "Paid", Schema: 3}),
	)
	for _, p := range []codec.Payload{
		payload("Payed", 1, `{"euros":"12.34"}`),
		payload("Payed", 2, `{"amount":{"cents":1234,"currency":"EUR"}}`),
	} {
		if got := decodeOne(t, r, p); got != (paid{amount{1234, "EUR"}}) {
			t.Errorf("version %d: got %+v", p.Schema, got)
		}
	}
	want := []string{"Paid", "Payed"}
	if got := r.StoredTypes("Paid"); cmp.Diff(want, got) != "" {
		t.Errorf("stored types: got %v, want %v", got, want)
	}
}

func TestASplitEventIsSeveral(t *testing.T) {
	t.Parallel()
	// Once, opening an account and the first payment were one event.
	r := payments(t, codec.Type[opened]("Opened", 1), codec.Split("OpenedWithPayment", 1,
		[]codec.Target{{Type: "Opened", Schema: 1}, {Type: "Paid", Schema: 2}},
		func(p codec.Payload) ([]codec.Payload, error) {
			var both struct {
				Owner string `json:"owner"`
				Cents int64  `json:"cents"`
			}
			if err := codec.Decode(p.Codec, p.Type, p.Schema, p.Data, &both); err != nil {
				return nil, err
			}
			first, err := codec.Encode(nil, codec.JSON, opened{both.Owner})
			if err != nil {
				return nil, err
			}
			second, err := codec.Encode(nil, codec.Msgpack, paidV2{both.Cents})
			return []codec.Payload{
				{Type: "Opened", Schema: 1, Data: first},
				{Type: "Paid", Schema: 2, Codec: codec.Msgpack, Data: second},
			}, err
		}))
	got, err := r.Decode([]any{"before"}, payload("OpenedWithPayment", 1, `{"owner":"Ada","cents":5}`))
	want := []any{"before", opened{"Ada"}, paid{amount{5, "EUR"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, (-want +got):\n%s", err, diff)
	}
	stored := []string{"Opened", "OpenedWithPayment", "Paid"}
	if got := r.StoredTypes("Opened", "Paid"); cmp.Diff(stored, got) != "" {
		t.Errorf("stored types: got %v, want %v", got, stored)
	}
	if got := r.StoredTypes("Else"); len(got) != 1 {
		t.Errorf("stored types of a type without steps: got %v", got)
	}
}

func TestADroppedEventIsNone(t *testing.T) {
	t.Parallel()
	r := payments(t, codec.Drop("Noise", 1))
	got, err := r.Decode([]any{"before"}, payload("Noise", 1, `not even JSON`))
	if err != nil || len(got) != 1 {
		t.Errorf("got %v, %v, want nothing more", got, err)
	}
	if _, err := r.Decode(nil, payload("Noise", 2, `{}`)); !errors.As(err, new(*codec.NewerSchemaError)) {
		t.Errorf("a version that is not dropped: got %v", err)
	}
}

// C13, C14: what a step is given is not changed, neither by typed steps nor beyond the
// end of what a split is given.
func TestUpcastDoesNotChangeWhatItIsGiven(t *testing.T) {
	t.Parallel()
	r := mustRegistry(t, codec.Type[map[string]any]("X", 3),
		codec.Upcast("X", 1, 2, func(b codec.Encoded) (codec.Encoded, error) {
			for i := range b {
				b[i] = ' '
			}
			return codec.Encoded(`{"a":2}`), nil
		}),
		codec.Split("X", 2, []codec.Target{{Type: "X", Schema: 3}}, func(p codec.Payload) ([]codec.Payload, error) {
			p.Data = append(p.Data[:len(p.Data)-1], `,"b":1}`...)
			p.Schema = 3
			return []codec.Payload{p}, nil
		}),
	)
	memory := []byte(`{"a":1}beyond`)
	p := payload("X", 1, "")
	p.Data = memory[:7]
	if _, err := r.Decode(nil, p); err != nil {
		t.Fatal(err)
	}
	if string(memory) != `{"a":1}beyond` {
		t.Errorf("the payload was changed to %s", memory)
	}
}

// C13: steps are listed by version; the latest version is that of the Go type.
func TestStepsAreListedByVersion(t *testing.T) {
	t.Parallel()
	r := payments(t, codec.Drop("Noise", 1), codec.Type[opened]("Opened", 1))
	want := []codec.Step{
		{Type: "Paid", From: 1, Into: []codec.Target{{Type: "Paid", Schema: 2}}},
		{Type: "Paid", From: 2, Into: []codec.Target{{Type: "Paid", Schema: 3}}},
	}
	if diff := cmp.Diff(want, r.Steps("Paid")); diff != "" {
		t.Errorf("steps of Paid (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(append([]codec.Step{{Type: "Noise", From: 1}}, want...), r.Steps("")); diff != "" {
		t.Errorf("all steps (-want +got):\n%s", diff)
	}
	if got := r.Steps("Opened"); got != nil {
		t.Errorf("steps of a type without: got %v", got)
	}
	for name, want := range map[string]keys.SchemaVersion{"Paid": 3, "Opened": 1, "Noise": 0, "Unheard": 0} {
		got, ok := r.Latest(name)
		if got != want || ok != (want > 0) {
			t.Errorf("latest version of %s: got %d, %v, want %d", name, got, ok, want)
		}
	}
}

// C13: a chain of any length, where the original looked at ten versions alone.
func TestALongChain(t *testing.T) {
	t.Parallel()
	const last = 300
	regs := []codec.Registration{codec.Type[map[string]int]("X", last)}
	for v := keys.SchemaVersion(1); v < last; v++ {
		regs = append(regs, codec.Upcast("X", v, v+1, func(m map[string]int) (map[string]int, error) {
			m["steps"]++
			return m, nil
		}))
	}
	got := decodeOne(t, mustRegistry(t, regs...), payload("X", 1, `{"steps":0}`))
	if diff := cmp.Diff(map[string]int{"steps": last - 1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// One event that becomes too many is refused, however the steps come by them.
func TestUpcastIsBounded(t *testing.T) {
	t.Parallel()
	double := func(to keys.SchemaVersion) func(p codec.Payload) ([]codec.Payload, error) {
		return func(p codec.Payload) ([]codec.Payload, error) {
			p.Schema = to
			return []codec.Payload{p, p}, nil
		}
	}
	regs := []codec.Registration{codec.Type[opened]("X", 12)}
	for v := keys.SchemaVersion(1); v < 12; v++ {
		regs = append(regs, codec.Split("X", v, []codec.Target{{Type: "X", Schema: v + 1}}, double(v+1)))
	}
	r := mustRegistry(t, regs...)
	_, err := r.Decode(nil, payload("X", 1, `{"owner":"a"}`))
	var up *codec.UpcastError
	if !errors.As(err, &up) || up.Reason != codec.ReasonTooMany {
		t.Errorf("got %v, want %q", err, codec.ReasonTooMany)
	}
	values, err := r.Decode(nil, payload("X", 3, `{"owner":"a"}`))
	if err != nil || len(values) != 512 {
		t.Errorf("got %d values, %v, want 512", len(values), err)
	}
}

// A registry is for all goroutines.
func TestARegistryIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	r := payments(t)
	done := make(chan error)
	for range 8 {
		go func() {
			var err error
			for range 100 {
				if _, failed := r.Decode(nil, payload("Paid", 1, `{"euros":"1.00"}`)); failed != nil {
					err = failed
				}
				if _, failed := r.Encode(paid{}); failed != nil {
					err = failed
				}
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkRegistryDecode(b *testing.B) {
	r := payments(b)
	current, err := r.Encode(paid{amount{1234, "EUR"}})
	if err != nil {
		b.Fatal(err)
	}
	old := payload("Paid", 1, `{"euros":"12.34"}`)
	old.Codec = codec.Msgpack
	if old.Data, err = codec.FromJSON(codec.Msgpack, old.Data); err != nil {
		b.Fatal(err)
	}
	var values []any
	for name, p := range map[string]codec.Payload{"current": current, "two steps": old} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if values, err = r.Decode(values[:0], p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
