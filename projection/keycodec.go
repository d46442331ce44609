package projection

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nexus-erp/eventstream/keys"
)

// KeyCodec writes keys of a view as bytes that sort as the keys do, and reads them back.
// It is made by [TextKey], [IntKey], [UintKey], [TimeKey] or [StructKey], and does not
// change: it is safe for concurrent use.
type KeyCodec[K any] struct {
	parts []keyPart[K]
}

// keyPart writes one part of a key. No encoded part is the beginning of another one, so
// parts can stand in a row.
type keyPart[K any] struct {
	append func(dst []byte, k *K) ([]byte, error)
	parse  func(b []byte, k *K) (rest []byte, err error)
	text   bool // it is a TextKey
}

func onePart[K any](write func(dst []byte, k *K) ([]byte, error), parse func(b []byte, k *K) ([]byte, error)) KeyCodec[K] {
	return KeyCodec[K]{parts: []keyPart[K]{{append: write, parse: parse}}}
}

var errKeyCut = errors.New("the key ends too early, or is none of this codec's")

// TextKey is the codec of texts, in the order of their bytes. Any text is a key, the
// empty one too.
func TextKey[K ~string]() KeyCodec[K] {
	c := onePart(
		func(dst []byte, k *K) ([]byte, error) { return keys.AppendPart(dst, string(*k)), nil },
		func(b []byte, k *K) ([]byte, error) {
			part, rest, ok := keys.ParsePart(b)
			if !ok {
				return nil, errKeyCut
			}
			*k = K(part)
			return rest, nil
		},
	)
	c.parts[0].text = true
	return c
}

// IntKey is the codec of signed integers, negative ones first. It takes eight bytes.
func IntKey[K ~int | ~int8 | ~int16 | ~int32 | ~int64]() KeyCodec[K] {
	return onePart(
		func(dst []byte, k *K) ([]byte, error) { return appendInt(dst, int64(*k)), nil },
		func(b []byte, k *K) ([]byte, error) {
			n, rest, err := parseInt(b)
			if *k = K(n); err == nil && int64(*k) != n {
				err = fmt.Errorf("%d does not fit into a %T", n, *k)
			}
			return rest, err
		},
	)
}

// UintKey is the codec of unsigned integers. It takes eight bytes.
func UintKey[K ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64]() KeyCodec[K] {
	return onePart(
		func(dst []byte, k *K) ([]byte, error) { return binary.BigEndian.AppendUint64(dst, uint64(*k)), nil },
		func(b []byte, k *K) ([]byte, error) {
			if len(b) < 8 {
				return nil, errKeyCut
			}
			n := binary.BigEndian.Uint64(b)
			if *k = K(n); uint64(*k) != n {
				return nil, fmt.Errorf("%d does not fit into a %T", n, *k)
			}
			return b[8:], nil
		},
	)
}

// The years in which a time has a number of nanoseconds.
var (
	firstTime = time.Unix(0, math.MinInt64)
	lastTime  = time.Unix(0, math.MaxInt64)
)

// TimeKey is the codec of times, earlier ones first: nanoseconds since 1970, from 1678 to
// 2262. Times come back in UTC.
func TimeKey() KeyCodec[time.Time] {
	return onePart(
		func(dst []byte, k *time.Time) ([]byte, error) {
			if k.Before(firstTime) || k.After(lastTime) {
				return nil, fmt.Errorf("the time %v lies outside the years 1678 to 2261", *k)
			}
			return appendInt(dst, k.UnixNano()), nil
		},
		func(b []byte, k *time.Time) ([]byte, error) {
			n, rest, err := parseInt(b)
			*k = time.Unix(0, n).UTC()
			return rest, err
		},
	)
}

// appendInt appends n so that negative numbers sort first.
func appendInt(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^(1<<63))
}

func parseInt(b []byte) (int64, []byte, error) {
	if len(b) < 8 {
		return 0, nil, errKeyCut
	}
	return int64(binary.BigEndian.Uint64(b) ^ (1 << 63)), b[8:], nil
}

// StructKey is the codec of keys of several parts, which sort by the first part, then by
// the second, and so on: the records of one account lie together, in the order of their
// months. Parts are made by [Part].
//
//	StructKey(
//		Part(func(k *AccountMonth) *string { return &k.Account }, TextKey[string]()),
//		Part(func(k *AccountMonth) *int { return &k.Month }, IntKey[int]()),
//	)
func StructKey[K any](parts ...KeyCodec[K]) KeyCodec[K] {
	var all KeyCodec[K]
	for _, p := range parts {
		all.parts = append(all.parts, p.parts...)
	}
	return all
}

// Part is the codec of a field of a key: field returns where it is.
func Part[K, P any](field func(*K) *P, codec KeyCodec[P]) KeyCodec[K] {
	var all KeyCodec[K]
	for _, p := range codec.parts {
		all.parts = append(all.parts, keyPart[K]{
			append: func(dst []byte, k *K) ([]byte, error) { return p.append(dst, field(k)) },
			parse:  func(b []byte, k *K) ([]byte, error) { return p.parse(b, field(k)) },
			text:   p.text,
		})
	}
	return all
}

// encode appends the first n parts of k to dst.
func (c KeyCodec[K]) encode(dst []byte, k K, n int) ([]byte, error) {
	var err error
	for _, p := range c.parts[:n] {
		if dst, err = p.append(dst, &k); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func (c KeyCodec[K]) decode(b []byte) (k K, err error) {
	for _, p := range c.parts {
		if b, err = p.parse(b, &k); err != nil {
			return k, err
		}
	}
	if len(b) > 0 {
		return k, fmt.Errorf("%d bytes follow the key", len(b))
	}
	return k, nil
}
