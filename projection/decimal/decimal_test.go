package decimal_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/projection/decimal"
)

func parse(t testing.TB, text string) decimal.Decimal {
	t.Helper()
	d, err := decimal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNumbersKeepTheirDecimals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0.00": "0.00", "1.10": "1.10", "+7": "7", ".5": "0.5", "5.": "5", "-1173.15": "-1173.15", "1e3": "1000", "12E-1": "1.2",
		"53.6599999999999999998612221219":                         "53.6599999999999999998612221219",
		strings.Repeat("9", 100) + "." + strings.Repeat("9", 100): strings.Repeat("9", 100) + "." + strings.Repeat("9", 100),
	} {
		if got := parse(t, text).String(); got != want {
			t.Errorf("Parse(%s) is written %s, want %s", text, got, want)
		}
	}
}

func TestWhatIsNoNumberIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "-", ".", "e1", "1e", "1e9999", "1e999", "1e-999", "1,000", " 1", "1 ", "0x1", "NaN", "Infinity", "inf", "1.2.3", "--1", "1-", "١",
		strings.Repeat("9", 101), "0." + strings.Repeat("0", 100) + "1", strings.Repeat("0", 1<<20),
	} {
		if d, err := decimal.Parse(text); !errors.Is(err, decimal.ErrInvalid) {
			t.Errorf("Parse(%.50q) = %v, %v; want ErrInvalid", text, d, err)
		}
	}
}

func TestArithmetic(t *testing.T) {
	t.Parallel()
	a, b := parse(t, "331.296869"), parse(t, "-53.6599999999999999998612221219")
	for _, tc := range []struct{ name, got, want string }{
		{"a sum has the decimals of the longer", parse(t, "0.01").Add(parse(t, "0.990")).String(), "1.000"},
		{"a difference", parse(t, "1").Sub(parse(t, "1.00")).String(), "0.00"},
		{"a product has all decimals", a.Mul(b).String(), "-17777.3899905399999999540233234990063311"},
		{"cents", decimal.New(-5, 0).Shift(2).String(), "-0.05"},
		{"a negative zero", decimal.Decimal{}.Neg().String(), "0"},
		{"the zero value", decimal.Decimal{}.Add(parse(t, "2.50")).String(), "2.50"},
		{"rounded half up", parse(t, "0.005").Round(2).String(), "0.01"},
		{"rounded half away from zero", parse(t, "-0.005").Round(2).String(), "-0.01"},
		{"rounded down", parse(t, "0.0049999").Round(2).String(), "0.00"},
		{"rounded up a digit", parse(t, "999.5").Round(0).String(), "1000"},
		{"without a sign", b.Abs().String(), "53.6599999999999999998612221219"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, tc.got, tc.want)
		}
	}
	if !parse(t, "1.1").Equal(parse(t, "1.10")) || parse(t, "1.1").Cmp(parse(t, "1.11")) != -1 || !parse(t, "-0.0").IsZero() {
		t.Error("numbers do not compare by their values")
	}
}

func TestAResultBeyondAllBoundsIsNotStored(t *testing.T) {
	t.Parallel()
	d := parse(t, strings.Repeat("9", 100))
	for range 16 {
		d = d.Mul(d)
	}
	if _, err := d.MarshalText(); !errors.Is(err, decimal.ErrInvalid) {
		t.Errorf("MarshalText = %v, want ErrInvalid", err)
	}
	if _, err := codec.Encode(nil, codec.Msgpack, d); !errors.Is(err, decimal.ErrInvalid) {
		t.Errorf("Encode = %v, want ErrInvalid", err)
	}
}

// Sums, products and their stored forms are those of rational numbers.
func TestArithmeticIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`-?[0-9]{1,30}(\.[0-9]{1,40})?`)
		x, y := number.Draw(t, "x"), number.Draw(t, "y")
		a, err := decimal.Parse(x)
		if err != nil {
			t.Fatal(err)
		}
		b, err := decimal.Parse(y)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := new(big.Rat).SetString(x)
		q, _ := new(big.Rat).SetString(y)
		for _, tc := range []struct {
			got  decimal.Decimal
			want *big.Rat
		}{
			{a.Add(b), new(big.Rat).Add(p, q)},
			{a.Sub(b), new(big.Rat).Sub(p, q)},
			{a.Mul(b), new(big.Rat).Mul(p, q)},
		} {
			packed, err := codec.Encode(nil, codec.Msgpack, tc.got)
			if err != nil {
				t.Fatal(err)
			}
			var stored, viaJSON decimal.Decimal
			if err := codec.Decode(codec.Msgpack, "", 1, packed, &stored); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(tc.got)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &viaJSON); err != nil {
				t.Fatal(err)
			}
			for _, d := range []decimal.Decimal{tc.got, stored, viaJSON} {
				if got, ok := new(big.Rat).SetString(d.String()); !ok || got.Cmp(tc.want) != 0 {
					t.Fatalf("%s and %s: got %s, want %s", x, y, d, tc.want)
				}
			}
		}
		if got, want := a.Cmp(b), p.Cmp(q); got != want {
			t.Fatalf("Cmp(%s, %s) = %d, want %d", x, y, got, want)
		}
	})
}

// FuzzParse checks that what is read is what a rational number reads, and comes back
// when it is written.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"0", "-1173.15", "+.5", "5.", "1e3", "12E-1", "53.6599999999999999998612221219", "1,5", "Inf", "0x1p-2", "1_000"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := decimal.Parse(text)
		if err != nil {
			if !errors.Is(err, decimal.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			return
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is read as %s, and is no number", text, d)
		}
		written := d.String()
		if got, ok := new(big.Rat).SetString(written); !ok || got.Cmp(want) != 0 {
			t.Fatalf("%q is read as %s", text, written)
		}
		if again, err := decimal.Parse(written); err != nil || again.String() != written {
			t.Fatalf("%s is read as %s, %v", written, again, err)
		}
	})
}
