package cursor

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"
)

// The layout of a token, see the package comment. The numbers are part of the format.
const (
	version        = 1
	offKey         = 1
	offIssued      = 5
	offExpires     = 13
	offIncarnation = 21
	offDigest      = 37
	offPlace       = 53
	tagLen         = 16

	maxTokenText = 512
	// MaxPlace is how many bytes a place may have.
	MaxPlace = 128
)

// Claims are what a token says.
type Claims struct {
	Tenant      string   // not in the token: its key depends on it
	Incarnation [16]byte // of the store
	Digest      [16]byte // of the query
	Place       []byte   // up to MaxPlace bytes
	Issued      time.Time
	Expires     time.Time
}

// ErrPlace is a place that is too long.
var ErrPlace = errors.New("cursor: the place has more than 128 bytes")

var encoding = base64.RawURLEncoding.Strict()

// Seal returns a token, signed with the ring's active key.
func (r *Ring) Seal(c Claims) (string, error) {
	if len(c.Place) > MaxPlace {
		return "", ErrPlace
	}
	key := r.activeKey()
	b := make([]byte, 0, offPlace+len(c.Place)+tagLen)
	b = append(b, version)
	b = binary.BigEndian.AppendUint32(b, key.ID)
	b = binary.BigEndian.AppendUint64(b, uint64(nanos(c.Issued)))
	b = binary.BigEndian.AppendUint64(b, uint64(nanos(c.Expires)))
	b = append(b, c.Incarnation[:]...)
	b = append(b, c.Digest[:]...)
	b = append(b, c.Place...)
	b = append(b, key.sum(c.Tenant, b)...)
	return encoding.EncodeToString(b), nil
}

// nanos returns t in ns since 1970, and the greatest or the least number of times that
// lie beyond it, from the year 2262 on and before 1678.
func nanos(t time.Time) int64 {
	switch {
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	default:
		return t.UnixNano()
	}
}

// Open checks a token against what it must say, at the time now, and returns the place in
// it. Nothing of the token is read before its sum is right. The error is of type [*Error].
func (r *Ring) Open(token string, want Claims, now time.Time) (place []byte, err error) {
	if len(token) > maxTokenText || strings.ContainsAny(token, "\r\n") { // which base64 passes over
		return nil, &Error{Malformed}
	}
	b, err := encoding.DecodeString(token)
	if err != nil || len(b) < offPlace+tagLen || len(b) > offPlace+MaxPlace+tagLen || b[0] != version {
		return nil, &Error{Malformed}
	}
	key, ok := r.accepts(binary.BigEndian.Uint32(b[offKey:]), now)
	if !ok {
		return nil, &Error{UnknownKey}
	}
	signed, tag := b[:len(b)-tagLen], b[len(b)-tagLen:]
	switch {
	case !hmac.Equal(tag, key.sum(want.Tenant, signed)):
		return nil, &Error{InvalidSignature}
	case [16]byte(signed[offIncarnation:]) != want.Incarnation:
		return nil, &Error{Stale}
	case [16]byte(signed[offDigest:]) != want.Digest:
		return nil, &Error{WrongQuery}
	case nanos(now) > int64(binary.BigEndian.Uint64(signed[offExpires:])):
		return nil, &Error{Expired}
	}
	return signed[offPlace:], nil
}

// sum returns the tag of a token's other bytes.
func (k *Key) sum(tenant string, signed []byte) []byte {
	key, err := hkdf.Key(sha256.New, k.Root[:], nil, "cursor|"+tenant, sha256.Size)
	if err != nil {
		panic(err) // only for a length that SHA-256 cannot give
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("evstore/cursor/v1\x00"))
	at := 0
	for _, end := range [...]int{offKey, offIssued, offExpires, offIncarnation, offDigest, offPlace, len(signed)} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(end-at)))
		mac.Write(signed[at:end])
		at = end
	}
	return mac.Sum(nil)[:tagLen]
}
