package codec_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

type opened struct {
	Owner string `msgpack:"owner" json:"owner"`
}

type posted struct {
	Cents    int64     `msgpack:"cents" json:"cents"`
	Currency string    `msgpack:"currency" json:"currency"`
	At       time.Time `msgpack:"at" json:"at"`
}

type closedPeriod struct{}

type scan []byte

type note string

// mustRegistry builds a registry that has to build.
func mustRegistry(t testing.TB, registrations ...codec.Registration) *codec.Registry {
	t.Helper()
	r, err := codec.NewRegistry(registrations...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func books(t testing.TB) *codec.Registry {
	t.Helper()
	return mustRegistry(t,
		codec.Type[opened]("Opened", 1),
		codec.TypeIn[posted](codec.JSON, "Posted", 1),
		codec.Type[closedPeriod]("Closed", 1),
		codec.TypeIn[scan](codec.Raw, "Scanned", 1),
		codec.TypeIn[note](codec.Raw, "Noted", 1),
		codec.TypeIn[map[string]any](codec.JSON, "Imported", 1),
	)
}

func decodeOne(t testing.TB, r *codec.Registry, p codec.Payload) any {
	t.Helper()
	values, err := r.Decode(nil, p)
	if err != nil {
		t.Fatalf("Decode(%s %d): %v", p.Type, p.Schema, err)
	}
	if len(values) != 1 {
		t.Fatalf("Decode(%s %d): %d values, want 1", p.Type, p.Schema, len(values))
	}
	return values[0]
}

func TestARegistryReturnsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	r := books(t)
	at := time.Date(2026, 3, 31, 23, 59, 59, 999, time.UTC)
	for _, tt := range []struct {
		v, want   any
		eventType string
		id        codec.ID
	}{
		{opened{"Ada"}, opened{"Ada"}, "Opened", codec.Msgpack},
		{&opened{"Ada"}, opened{"Ada"}, "Opened", codec.Msgpack},
		{posted{-5, "EUR", at}, posted{-5, "EUR", at}, "Posted", codec.JSON},
		{closedPeriod{}, closedPeriod{}, "Closed", codec.Msgpack},
		{scan{0, 255}, scan{0, 255}, "Scanned", codec.Raw},
		{scan{}, scan{}, "Scanned", codec.Raw},
		{note("ok"), note("ok"), "Noted", codec.Raw},
		{note(""), note(""), "Noted", codec.Raw},
		{map[string]any{"a": "x"}, map[string]any{"a": "x"}, "Imported", codec.JSON},
	} {
		p, err := r.Encode(tt.v)
		if err != nil {
			t.Errorf("Encode(%#v): %v", tt.v, err)
			continue
		}
		if p.Type != tt.eventType || p.Codec != tt.id || p.Schema != 1 {
			t.Errorf("Encode(%#v) gave %s %d in %s, want %s 1 in %s", tt.v, p.Type, p.Schema, p.Codec, tt.eventType, tt.id)
		}
		if diff := cmp.Diff(tt.want, decodeOne(t, r, p)); diff != "" {
			t.Errorf("%#v differs once decoded (-want +got):\n%s", tt.v, diff)
		}
	}
}

// What is stored says in which codec: a stream may mix them.
func TestAPayloadIsDecodedByTheCodecThatItWasStoredWith(t *testing.T) {
	t.Parallel()
	r := books(t)
	for _, p := range []codec.Payload{
		{Type: "Opened", Schema: 1, Codec: codec.JSON, Data: []byte(`{"owner":"Ada"}`)},
		{Type: "Opened", Schema: 1, Codec: codec.Msgpack, Data: []byte("\x81\xa5owner\xa3Ada")},
	} {
		if got := decodeOne(t, r, p); got != (opened{"Ada"}) {
			t.Errorf("%s: got %#v", p.Codec, got)
		}
	}
	p := codec.Payload{Type: "Scanned", Schema: 1, Codec: codec.Msgpack, Data: []byte("\xc4\x01x")}
	if diff := cmp.Diff(scan("x"), decodeOne(t, r, p)); diff != "" {
		t.Error(diff)
	}
}

func TestDecodedValuesShareNoMemoryWithThePayload(t *testing.T) {
	t.Parallel()
	r := books(t)
	for _, v := range []any{scan("abc"), opened{"Ada"}, map[string]any{"a": "x"}} {
		p, err := r.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		got := decodeOne(t, r, p)
		clear(p.Data)
		if diff := cmp.Diff(v, got); diff != "" {
			t.Errorf("changed with the payload (-want +got):\n%s", diff)
		}
	}
}

func TestDecodeAppends(t *testing.T) {
	t.Parallel()
	r := books(t)
	p, err := r.Encode(opened{"Ada"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Decode([]any{"before"}, p)
	if err != nil || len(got) != 2 || got[0] != "before" || got[1] != (opened{"Ada"}) {
		t.Errorf("got %v, %v", got, err)
	}
	p.Data = []byte("\xc1")
	got, err = r.Decode([]any{"before"}, p)
	if err == nil || len(got) != 1 || got[0] != "before" {
		t.Errorf("after an error: got %v, %v, want what was there", got, err)
	}
}

func TestARegistryRefusesToEncode(t *testing.T) {
	t.Parallel()
	r := books(t)
	for _, tt := range []struct {
		name string
		v    any
		want string
	}{
		{"nil", nil, "nil is no event"},
		{"a nil pointer", (*opened)(nil), "a nil *codec_test.opened is no event"},
		{"a type that is not registered", 5, "Go type int is not registered"},
		{"a pointer to a pointer", new(*opened), "**codec_test.opened is not registered"},
	} {
		_, err := r.Encode(tt.v)
		var wrong *codec.GoTypeError
		if !errors.As(err, &wrong) || !errors.Is(err, codec.ErrCodec) || !errors.Is(err, keys.ErrEventStore) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want a *GoTypeError with %q", tt.name, err, tt.want)
		}
	}
	type measured struct{ Value float64 }
	r = mustRegistry(t, codec.Type[measured]("Measured", 7), codec.Since("Measured", 7))
	_, err := r.Encode(measured{math.Inf(1)})
	var e *codec.Error
	if !errors.As(err, &e) || e.Type != "Measured" || e.Schema != 7 || e.Op != "encode" {
		t.Errorf("got %v, want an *Error that names Measured 7", err)
	}
}

// Errors always name the event type.
func TestARegistryRefusesToDecode(t *testing.T) {
	t.Parallel()
	r := books(t)
	id := keys.EventID{1}
	for _, tt := range []struct {
		name string
		p    codec.Payload
		as   any
		want string
	}{
		{"a type that is not registered", codec.Payload{Type: "Moved", Schema: 1, Codec: codec.JSON, Data: []byte(`1`)}, new(*codec.UnknownTypeError), `event type "Moved" is not registered (event 0100`},
		{"a newer version", codec.Payload{Type: "Opened", Schema: 2, Codec: codec.JSON, Data: []byte(`{}`)}, new(*codec.NewerSchemaError), `"Opened" has schema version 2 (event 0100`},
		{"version 0", codec.Payload{Type: "Opened", Codec: codec.JSON, Data: []byte(`{}`)}, new(*codec.UpcastError), "version gap"},
		{"trailing bytes", codec.Payload{Type: "Opened", Schema: 1, Codec: codec.Msgpack, Data: []byte("\x80\x80")}, new(*codec.Error), `"Opened", schema version 1: at byte 1: more bytes follow`},
		{"trailing JSON", codec.Payload{Type: "Opened", Schema: 1, Codec: codec.JSON, Data: []byte(`{} {}`)}, new(*codec.Error), `"Opened", schema version 1: more bytes follow`},
		{"broken JSON", codec.Payload{Type: "Opened", Schema: 1, Codec: codec.JSON, Data: []byte(`{"owner"`)}, new(*codec.Error), `decode json payload of "Opened"`},
		{"a name twice", codec.Payload{Type: "Opened", Schema: 1, Codec: codec.JSON, Data: []byte(`{"owner":"Ada","owner":"Eve"}`)}, new(*codec.Error), `name "owner" occurs twice`},
		{"another type of value", codec.Payload{Type: "Opened", Schema: 1, Codec: codec.JSON, Data: []byte(`{"owner":5}`)}, new(*codec.Error), `"Opened"`},
		{"a list where an object belongs", codec.Payload{Type: "Imported", Schema: 1, Codec: codec.JSON, Data: []byte(`[1]`)}, new(*codec.Error), `"Imported"`},
		{"a text where an object belongs", codec.Payload{Type: "Imported", Schema: 1, Codec: codec.JSON, Data: []byte(`"x"`)}, new(*codec.Error), `"Imported"`},
		{"null where an object belongs", codec.Payload{Type: "Imported", Schema: 1, Codec: codec.JSON, Data: []byte(` null `)}, new(*codec.Error), "the payload is null"},
		{"nil where a struct belongs", codec.Payload{Type: "Opened", Schema: 1, Codec: codec.Msgpack, Data: []byte("\xc0")}, new(*codec.Error), "the payload is null"},
		{"nothing where a struct with fields belongs", codec.Payload{Type: "Opened", Schema: 1, Codec: codec.Msgpack}, new(*codec.Error), "the payload is empty"},
		{"an unknown codec", codec.Payload{Type: "Opened", Schema: 1, Codec: 9, Data: []byte(`{}`)}, new(*codec.Error), "unknown codec"},
		{"bytes where a struct belongs", codec.Payload{Type: "Opened", Schema: 1, Codec: codec.Raw, Data: []byte(`{}`)}, new(*codec.Error), "a raw payload decodes into"},
	} {
		tt.p.EventID = id
		values, err := r.Decode(nil, tt.p)
		if err == nil || !errors.As(err, tt.as) || !strings.Contains(err.Error(), tt.want) || len(values) > 0 {
			t.Errorf("%s: got %v, %v, want a %T with %q", tt.name, values, err, tt.as, tt.want)
		}
		if !errors.Is(err, codec.ErrCodec) || !errors.Is(err, keys.ErrEventStore) {
			t.Errorf("%s: %v does not match ErrCodec and ErrEventStore", tt.name, err)
		}
	}
	_, err := r.Decode(nil, codec.Payload{Type: "Opened", Schema: 1, Codec: codec.Msgpack, Data: []byte("\x80\x80")})
	if !errors.Is(err, codec.ErrTrailing) {
		t.Errorf("got %v, want one that matches ErrTrailing", err)
	}
}

func TestAnEmptyPayloadIsThatOfATypeWithoutFields(t *testing.T) {
	t.Parallel()
	r := books(t)
	for _, id := range []codec.ID{codec.Msgpack, codec.JSON} {
		if got := decodeOne(t, r, codec.Payload{Type: "Closed", Schema: 1, Codec: id}); got != (closedPeriod{}) {
			t.Errorf("%s: got %#v", id, got)
		}
	}
}

// What a program would otherwise find out years later: a field that was never stored.
func TestARegistryDoesNotBuildOnTypesThatLoseSomething(t *testing.T) {
	t.Parallel()
	type hidden struct {
		Shown int
		lost  int
	}
	type inner struct{ Parts []hidden }
	type left struct {
		Shown int
		lost  int `msgpack:"-"`
	}
	type twice struct {
		A int `msgpack:"x"`
		B int `msgpack:"x"`
	}
	type array struct {
		_msgpack struct{} `msgpack:",as_array"`
		A        int
	}
	type embedded struct {
		opened
		Cents int
	}
	type shadow struct {
		opened
		Owner string `msgpack:"owner"`
	}
	type loop struct{ Next *loop }
	type interned struct {
		A string `msgpack:",intern"`
	}
	type withMethod struct{ Err error }
	type floatKeys struct{ Of map[float64]int }
	_ = []any{hidden{lost: 1}.lost, left{lost: 1}.lost, array{}._msgpack}
	for _, tt := range []struct {
		name string
		reg  codec.Registration
		want string // "" builds
	}{
		{"a field that is not exported", codec.Type[hidden]("X", 1), "lost: it is not exported"},
		{"one further in", codec.Type[inner]("X", 1), "Parts[].lost: it is not exported"},
		{"one that may be lost", codec.Type[left]("X", 1), ""},
		{"one that may be lost, but not in JSON", codec.TypeIn[left](codec.JSON, "X", 1), "lost: it is not exported"},
		{"two fields of one name", codec.Type[twice]("X", 1), `another field is called "x"`},
		{"fields by their place", codec.Type[array]("X", 1), "as_array"},
		{"an embedded struct", codec.Type[embedded]("X", 1), ""},
		{"a field that hides an embedded one", codec.Type[shadow]("X", 1), `another field is called "owner"`},
		{"a type that refers to itself", codec.Type[loop]("X", 1), ""},
		{"interned texts", codec.Type[interned]("X", 1), "interned"},
		{"a channel", codec.Type[chan int]("X", 1), "cannot be encoded"},
		{"a function in a map", codec.Type[map[string]func()]("X", 1), "[]: func() cannot be encoded"},
		{"a complex number", codec.Type[struct{ C complex128 }]("X", 1), "C: complex128 cannot be encoded"},
		{"an interface with methods", codec.Type[withMethod]("X", 1), "Err: error is an interface with methods"},
		{"an untyped value", codec.Type[struct{ V any }]("X", 1), ""},
		{"keys that JSON has not", codec.TypeIn[floatKeys](codec.JSON, "X", 1), "Of: JSON has no keys of type float64"},
		{"keys that msgpack has", codec.Type[floatKeys]("X", 1), ""},
		{"what encodes itself alone", codec.Type[twoValues]("X", 1), "cannot decode itself"},
		{"what decodes itself alone", codec.Type[readsLittle]("X", 1), "cannot encode itself"},
		{"a pointer", codec.Type[*opened]("X", 1), "is a pointer"},
		{"an interface", codec.Type[any]("X", 1), "is an interface"},
		{"a struct in raw", codec.TypeIn[opened](codec.Raw, "X", 1), "neither a slice of bytes nor a string"},
		{"an unknown codec", codec.TypeIn[opened](9, "X", 1), "unknown codec 9"},
		{"version 0", codec.Type[opened]("X", 0), "from 1 to"},
		{"no event type", codec.Type[opened]("", 1), "event type name is empty"},
		{"an event type with a line break", codec.Type[opened]("a\nb", 1), "not allowed"},
		{"nothing", codec.Registration{}, "zero Registration"},
	} {
		_, err := codec.NewRegistry(tt.reg)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: got %v, want a registry", tt.name, err)
			}
			continue
		}
		var fault *codec.RegistryError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, codec.ErrCodec) {
			t.Errorf("%s: got %v, want a *RegistryError with %q", tt.name, err, tt.want)
		}
	}
}

func TestARegistryTellsAllItsFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := codec.NewRegistry(
		codec.Type[opened]("Opened", 1),
		codec.Type[opened]("OpenedAgain", 1),
		codec.Type[posted]("Opened", 1),
		codec.Type[chan int]("Chan", 1),
		codec.Upcast("Posted", 1, 2, func(posted) (posted, error) { return posted{}, nil }),
	)
	for _, want := range []string{
		`"OpenedAgain" schema version 1: Go type codec_test.opened is registered for "Opened" already`,
		`"Opened" schema version 1: codec_test.opened and codec_test.posted are registered for it`,
		`"Chan" schema version 1: values of chan int do not survive encoding`,
		`"Posted" schema version 2: version gap`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != 4 {
		t.Errorf("got %v, want 4 faults", err)
	}
}

// Integers that do not fit are told: the decoding library cuts them off.
func TestIntegersThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	type narrow struct {
		I8  int8
		U8  uint8
		U64 uint64
		I64 int64
		In  []struct{ N uint16 }
		Of  map[int8]uint32
		P   *int32
	}
	type wide struct {
		I8, U8, U64, I64 int64
		In               []struct{ N int64 }
		Of               map[int64]int64
		P                *int64
		Unknown          []any
	}
	for _, tt := range []struct {
		name string
		from wide
		want string
	}{
		{"all fit", wide{I8: -128, U8: 255, U64: math.MaxInt64, I64: math.MinInt64, In: []struct{ N int64 }{{65535}}, Of: map[int64]int64{-128: math.MaxUint32}, P: ptr(int64(math.MinInt32))}, ""},
		{"an int8 above its greatest", wide{I8: 128}, `"I8": the number 128 does not fit into a Go int8`},
		{"an int8 below its least", wide{I8: -129}, "-129 does not fit into a Go int8"},
		{"a byte", wide{U8: 300}, "300 does not fit into a Go uint8"},
		{"a negative number without a sign", wide{U64: -1}, "-1 does not fit into a Go uint64"},
		{"within a list", wide{In: []struct{ N int64 }{{1}, {65536}}}, `"In": "N": the number 65536`},
		{"a key", wide{Of: map[int64]int64{200: 1}}, "200 does not fit into a Go int8"},
		{"a value of a map", wide{Of: map[int64]int64{1: 1 << 32}}, "4294967296 does not fit into a Go uint32"},
		{"behind a pointer", wide{P: ptr(int64(1 << 31))}, "2147483648 does not fit into a Go int32"},
		{"in a field that is not there", wide{Unknown: []any{uint64(math.MaxUint64), map[string]any{"I8": 999}}}, ""},
	} {
		data := mustEncode(t, codec.Msgpack, tt.from)
		var got narrow
		err := codec.Decode(codec.Msgpack, "T", 1, data, &got)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	var i int64
	if err := codec.Decode(codec.Msgpack, "T", 1, mustEncode(t, codec.Msgpack, uint64(math.MaxInt64+1)), &i); err == nil {
		t.Errorf("got %d of an integer above the greatest int64, want an error", i)
	}
	var u uint64
	if err := codec.Decode(codec.Msgpack, "T", 1, mustEncode(t, codec.Msgpack, uint64(math.MaxUint64)), &u); err != nil || u != math.MaxUint64 {
		t.Errorf("got %d, %v", u, err)
	}
}

func ptr[T any](v T) *T { return &v }

// Equal values are equal once decoded, also under == and reflect.DeepEqual, whatever
// the zone of the machine.
func TestTimesComeInUTC(t *testing.T) {
	t.Parallel()
	type times struct {
		At   time.Time
		List []time.Time
		Of   map[string]time.Time
		P    *time.Time
		In   struct{ At time.Time }
		Deep map[string]struct{ At []time.Time }
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("east", 3600))
	utc := at.UTC()
	v := times{At: at, List: []time.Time{at}, Of: map[string]time.Time{"a": at}, P: &at, Deep: map[string]struct{ At []time.Time }{"a": {[]time.Time{at}}}}
	v.In.At = at
	var got times
	if err := codec.Decode(codec.Msgpack, "T", 1, mustEncode(t, codec.Msgpack, v), &got); err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]time.Time{
		"field": got.At, "list": got.List[0], "map": got.Of["a"], "pointer": *got.P, "struct": got.In.At, "deep": got.Deep["a"].At[0],
	} {
		if one != utc { // the zone too
			t.Errorf("%s: got %v, want %v", name, one, utc)
		}
	}
	got = times{}
	if err := codec.Decode(codec.Msgpack, "T", 1, mustEncode(t, codec.Msgpack, times{}), &got); err != nil || !got.At.IsZero() || got.P != nil {
		t.Errorf("zero times: got %+v, %v", got, err)
	}
}

// C8: what the specification pins down of its serializer.
func TestPayloadsKeepTheirTypes(t *testing.T) {
	t.Parallel()
	r := mustRegistry(t, codec.TypeIn[map[string]any](codec.JSON, "Imported", 1))
	for _, text := range []string{
		`{"s":"x","i":1,"f":1.5,"t":true,"n":null}`,
		`{"zero fraction":1.0,"big":999999999999.99,"digits":12345678901234567890.123456789}`,
		`{"nested":{"list":[{"a":[]},{}]}}`,
		`{}`,
		`{"unicode":"Grüße, 世界 🧾"}`,
	} {
		v := decodeOne(t, r, codec.Payload{Type: "Imported", Schema: 1, Codec: codec.JSON, Data: []byte(text)})
		p, err := r.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		for _, c := range []struct {
			text []byte
			v    *any
		}{{[]byte(text), &want}, {p.Data, &got}} {
			dec := json.NewDecoder(strings.NewReader(string(c.text)))
			dec.UseNumber()
			if err := dec.Decode(c.v); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s came back as %s:\n%s", text, p.Data, diff)
		}
	}
}

func TestFingerprints(t *testing.T) {
	t.Parallel()
	type account struct {
		Cents int64
		Tags  map[string]string
		Lines []line
	}
	type sameInAnotherOrder struct {
		Lines []line
		Tags  map[string]string
		Cents int64
	}
	type renamedField struct {
		Money int64 `msgpack:"Cents"`
		Tags  map[string]string
		Lines []line
	}
	type other struct {
		Cents int32
		Tags  map[string]string
		Lines []line
	}
	type deeper struct {
		Cents int64
		Tags  map[string]string
		Lines []struct {
			No uint32 `msgpack:"no"`
		}
	}
	type list struct{ Next *list }
	type list2 struct{ Next *list2 }
	type list3 struct{ Next **list3 }
	of := codec.FingerprintOf
	base := of(typeOf[account](), codec.Msgpack, 1)
	for _, tt := range []struct {
		name string
		got  codec.Fingerprint
		same bool
	}{
		{"another order of fields", of(typeOf[sameInAnotherOrder](), codec.Msgpack, 1), true},
		{"another Go name, the same tag", of(typeOf[renamedField](), codec.Msgpack, 1), true},
		{"a pointer", of(typeOf[*account](), codec.Msgpack, 1), false},
		{"another type of a field", of(typeOf[other](), codec.Msgpack, 1), false},
		{"another type further in", of(typeOf[deeper](), codec.Msgpack, 1), false},
		{"another schema version", of(typeOf[account](), codec.Msgpack, 2), false},
		{"another codec", of(typeOf[account](), codec.JSON, 1), false},
	} {
		if (tt.got == base) != tt.same {
			t.Errorf("%s: got %s and %s, want the same: %v", tt.name, tt.got, base, tt.same)
		}
	}
	if of(typeOf[list](), codec.Msgpack, 1) != of(typeOf[list2](), codec.Msgpack, 1) {
		t.Error("two lists of one shape differ")
	}
	if of(typeOf[list](), codec.Msgpack, 1) == of(typeOf[list3](), codec.Msgpack, 1) {
		t.Error("two lists of two shapes do not differ")
	}
	if of(typeOf[time.Time](), codec.Msgpack, 1) == of(typeOf[readsLittle](), codec.Msgpack, 1) {
		t.Error("two types that encode themselves do not differ")
	}
}

// The number is on disk, in snapshots: another one would discard them all.
func TestFingerprintsAreOnDisk(t *testing.T) {
	t.Parallel()
	if got := codec.FingerprintOf(typeOf[posting](), codec.Msgpack, 3); got.String() != "9542394398aa532c" {
		t.Errorf("got %s", got)
	}
}

func TestStatesThatLoseTheirTypesAreTold(t *testing.T) {
	t.Parallel()
	type state struct {
		Sum   int64
		Extra any
	}
	if got := codec.CheckState(typeOf[state](), codec.Msgpack); len(got) != 1 || !strings.Contains(got[0], "Extra: interface {} is an interface") {
		t.Errorf("got %q", got)
	}
	if got := codec.CheckState(typeOf[posting](), codec.JSON); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	if got := codec.CheckState(typeOf[posting](), codec.Raw); len(got) != 1 {
		t.Errorf("got %q", got)
	}
	if got := codec.CheckState(typeOf[note](), codec.Raw); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// FuzzRegistryDecode: whatever the bytes, decoding ends, and what decodes is the same
// once it was encoded and decoded again.
func FuzzRegistryDecode(f *testing.F) {
	type fuzzed struct {
		I8    int8
		U16   uint16
		I64   int64
		Text  string
		Bytes []byte
		At    time.Time
		Of    map[string]int32
		List  []struct{ N uint32 }
		P     *int64
	}
	r, err := codec.NewRegistry(
		codec.Type[fuzzed]("X", 2), codec.Upcast("X", 1, 2, func(old fuzzed) (fuzzed, error) { return old, nil }),
	)
	if err != nil {
		f.Fatal(err)
	}
	whole := fuzzed{I8: -1, U16: 65535, I64: -1 << 40, Text: "x", Bytes: []byte{0}, At: time.Unix(1e9, 1), Of: map[string]int32{"a": -1}, List: []struct{ N uint32 }{{1}}, P: ptr(int64(5))}
	for _, id := range []codec.ID{codec.Msgpack, codec.JSON} {
		data, err := codec.Encode(nil, id, whole)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(id), uint32(1), data)
		f.Add(uint8(id), uint32(2), data[:len(data)/2])
	}
	f.Add(uint8(codec.Msgpack), uint32(2), []byte("\x81\xa2I8\xcd\x01\x2c"))
	f.Add(uint8(codec.JSON), uint32(2), []byte(`{"I8":1,"i8":300}`))
	f.Fuzz(func(t *testing.T, id uint8, schema uint32, data []byte) {
		p := codec.Payload{Type: "X", Schema: keys.SchemaVersion(schema), Codec: codec.ID(id), Data: data}
		values, err := r.Decode(nil, p)
		if err != nil {
			if !errors.Is(err, codec.ErrCodec) {
				t.Fatalf("got %v, want an error of the codec", err)
			}
			return
		}
		again, err := r.Encode(values[0])
		if err != nil {
			if strings.Contains(err.Error(), "more than") {
				return // of so many bytes that they are too many values
			}
			t.Fatalf("what decoded does not encode: %v", err)
		}
		if diff := cmp.Diff(values[0], decodeOne(t, r, again)); diff != "" {
			t.Errorf("not the same once encoded and decoded (-want +got):\n%s", diff)
		}
	})
}
