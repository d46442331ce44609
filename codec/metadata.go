package codec

import (
	"encoding/binary"
	"errors"
	"slices"
)

// AppendMetadata appends the stored form of m: a count, then each key and value
// behind its length, all lengths as uvarints, sorted by key. Equal maps have equal
// forms. An empty map appends nothing.
func AppendMetadata(dst []byte, m map[string]string) []byte {
	if len(m) == 0 {
		return dst
	}
	var buf [16]string
	names := buf[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		dst = binary.AppendUvarint(dst, uint64(len(m[name])))
		dst = append(dst, m[name]...)
	}
	return dst
}

var errMetadata = errors.New("malformed metadata")

// ParseMetadata reads what [AppendMetadata] wrote. Anything else is an error:
// trailing bytes, names out of order or twice, lengths beyond the end or in more
// bytes than they need. So what parses is the one stored form of its map.
func ParseMetadata(b []byte) (map[string]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	count, n := uvarint(b)
	b = b[n:]
	if n == 0 || count == 0 || count > uint64(len(b))/2 {
		return nil, errMetadata
	}
	m := make(map[string]string, count)
	last := ""
	for i := range count {
		var name, value string
		var ok bool
		if name, b, ok = cutString(b); !ok {
			return nil, errMetadata
		}
		if value, b, ok = cutString(b); !ok {
			return nil, errMetadata
		}
		if i > 0 && name <= last {
			return nil, errMetadata
		}
		m[name], last = value, name
	}
	if len(b) > 0 {
		return nil, errMetadata
	}
	return m, nil
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	length, n := uvarint(b)
	if n == 0 || length > uint64(len(b)-n) {
		return "", nil, false
	}
	return string(b[n : n+int(length)]), b[n+int(length):], true
}

// uvarint reads a number in its shortest form. n is 0 for anything else.
func uvarint(b []byte) (x uint64, n int) {
	x, n = binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return x, n
}
