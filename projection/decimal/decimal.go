package decimal

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/apd/v3"
	"github.com/vmihailenco/msgpack/v5"
)

// Decimal is an exact decimal number. It keeps the decimals that it was written with,
// as 1.10 does. The zero value is 0. It does not change: it may be copied and used
// concurrently. Compare with [Decimal.Cmp], since 1.1 and 1.10 are the same number.
type Decimal struct {
	n *apd.Decimal // nil is 0; never written to once it is here
}

// The bounds of a number that is written down.
const (
	// MaxTextDigits bounds the digits of a number that [Parse] reads, before and behind
	// the point alike.
	MaxTextDigits = 100
	// maxDigits bounds those of a result that is stored.
	maxDigits = 1000
)

// ErrInvalid is matched by the errors of [Parse], and of encoding a number that grew
// beyond all bounds.
var ErrInvalid = errors.New("decimal: invalid")

// exact computes without rounding.
var exact = apd.BaseContext

// New returns unscaled × 10^-scale: New(1150, 2) is 11.50. Scale is 0 to 100.
func New(unscaled int64, scale int) Decimal {
	return Decimal{apd.New(unscaled, -int32(min(max(scale, 0), MaxTextDigits)))}
}

// Parse reads a number: a sign or none, digits, perhaps a point and more digits, perhaps
// an exponent, as JSON writes them. There are no thousands separators.
func Parse(text string) (Decimal, error) {
	if err := check(text); err != nil {
		return Decimal{}, err
	}
	n, _, err := exact.NewFromString(text)
	if err != nil {
		return Decimal{}, fmt.Errorf("%w: %.40q is no number", ErrInvalid, text)
	}
	if -n.Exponent > MaxTextDigits || n.NumDigits()+int64(n.Exponent) > MaxTextDigits {
		return Decimal{}, tooLong(text)
	}
	if n.Exponent > 0 { // 1e3 is 1000
		return Decimal{n}.Add(Decimal{}), nil
	}
	return Decimal{n}, nil
}

func tooLong(text string) error {
	return fmt.Errorf("%w: %.40q has more than %d digits before or behind the point", ErrInvalid, text, MaxTextDigits)
}

// check refuses what the library reads beyond plain numbers, as "Infinity", and what
// would take long to read.
func check(text string) error {
	rest := text
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		rest = rest[1:]
	}
	whole, rest := digits(rest)
	fraction := 0
	if rest != "" && rest[0] == '.' {
		fraction, rest = digits(rest[1:])
	}
	if whole+fraction == 0 {
		return fmt.Errorf("%w: %.40q is no number", ErrInvalid, text)
	}
	if whole > 2*MaxTextDigits || fraction > 2*MaxTextDigits {
		return tooLong(text)
	}
	if rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		rest = rest[1:]
		if rest != "" && (rest[0] == '-' || rest[0] == '+') {
			rest = rest[1:]
		}
		var n int
		if n, rest = digits(rest); n == 0 || n > 3 {
			return fmt.Errorf("%w: %.40q has an exponent that is none, or too great", ErrInvalid, text)
		}
	}
	if rest != "" {
		return fmt.Errorf("%w: %.40q is no number at %.10q", ErrInvalid, text, rest)
	}
	return nil
}

// digits counts the leading digits of text.
func digits(text string) (n int, rest string) {
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n, text[n:]
}

func (d Decimal) value() *apd.Decimal {
	if d.n == nil {
		return zero
	}
	return d.n
}

var zero = new(apd.Decimal)

// result is what an exact operation made. If that has no bounds any more it is not a
// number, and says so when it is stored.
func result(n *apd.Decimal, err error) Decimal {
	if err != nil {
		n.Form = apd.NaN
	}
	return Decimal{n}
}

// Add returns d + x, with the decimals of the one that has more.
func (d Decimal) Add(x Decimal) Decimal {
	n := new(apd.Decimal)
	_, err := exact.Add(n, d.value(), x.value())
	return result(n, err)
}

// Sub returns d - x.
func (d Decimal) Sub(x Decimal) Decimal { return d.Add(x.Neg()) }

// Mul returns d × x, with the decimals of both together.
func (d Decimal) Mul(x Decimal) Decimal {
	n := new(apd.Decimal)
	_, err := exact.Mul(n, d.value(), x.value())
	return result(n, err)
}

// Neg returns -d.
func (d Decimal) Neg() Decimal { return Decimal{new(apd.Decimal).Neg(d.value())} }

// Abs returns d without its sign.
func (d Decimal) Abs() Decimal { return Decimal{new(apd.Decimal).Abs(d.value())} }

// Shift returns d × 10^-places: Shift(2) makes units of cents. Places is 0 to 100.
func (d Decimal) Shift(places int) Decimal { return d.Mul(New(1, places)) }

// Round returns d rounded to places decimals, half away from zero. It is for tolerances
// and for people; nothing that is stored is rounded.
func (d Decimal) Round(places int) Decimal {
	n := new(apd.Decimal)
	x := d.value()
	c := exact
	c.Precision = uint32(max(x.NumDigits()+int64(max(x.Exponent, 0)), 1)) + uint32(max(places, 0)) + 1
	c.Rounding = apd.RoundHalfUp // of the magnitude: away from zero
	_, err := c.Quantize(n, x, -int32(places))
	return result(n, err)
}

// Sign returns -1, 0 or 1.
func (d Decimal) Sign() int { return d.value().Sign() }

// IsZero reports whether d is 0, with whatever decimals.
func (d Decimal) IsZero() bool { return d.Sign() == 0 && d.value().Form == apd.Finite }

// Cmp returns -1 if d < x, 0 if they are the same number, 1 if d > x.
func (d Decimal) Cmp(x Decimal) int { return d.value().Cmp(x.value()) }

// Equal reports whether d and x are the same number, whatever their decimals.
func (d Decimal) Equal(x Decimal) bool { return d.Cmp(x) == 0 }

// Scale returns how many decimals d is written with.
func (d Decimal) Scale() int { return max(0, -int(d.value().Exponent)) }

// String returns d with all its decimals, as Parse reads it: -1150.00. Zero has no sign.
func (d Decimal) String() string {
	n := d.value()
	if n.Negative && n.IsZero() {
		n = new(apd.Decimal).Abs(n)
	}
	return n.Text('f')
}

func (d Decimal) text() (string, error) {
	n := d.value()
	if n.Form != apd.Finite || n.NumDigits() > maxDigits || -int64(n.Exponent) > maxDigits {
		return "", fmt.Errorf("%w: the result has more than %d digits", ErrInvalid, maxDigits)
	}
	return d.String(), nil
}

// MarshalText writes d as String does; in JSON it is a string. It fails with
// [ErrInvalid] for a result of more than 1,000 digits.
func (d Decimal) MarshalText() ([]byte, error) {
	text, err := d.text()
	return []byte(text), err
}

// UnmarshalText reads what MarshalText wrote.
func (d *Decimal) UnmarshalText(text []byte) error { return d.set(string(text)) }

// EncodeMsgpack writes d as a string.
func (d Decimal) EncodeMsgpack(enc *msgpack.Encoder) error {
	text, err := d.text()
	if err != nil {
		return err
	}
	return enc.EncodeString(text)
}

// DecodeMsgpack reads what EncodeMsgpack wrote.
func (d *Decimal) DecodeMsgpack(dec *msgpack.Decoder) error {
	text, err := dec.DecodeString()
	if err != nil {
		return err
	}
	return d.set(text)
}

// set reads a number that was stored, which may be longer than one that comes from
// outside.
func (d *Decimal) set(text string) error {
	if len(text) > 2*maxDigits+2 {
		return fmt.Errorf("%w: %.40q is too long", ErrInvalid, text)
	}
	n, _, err := exact.NewFromString(text)
	if err != nil || n.Form != apd.Finite {
		return fmt.Errorf("%w: %.40q is no number", ErrInvalid, text)
	}
	d.n = n
	return nil
}
