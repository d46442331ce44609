package keys

import "bytes"

// A variable part is written with each 0x00 as 0x00 0xFF, and ends in 0x00 0x01.
// 0x01 sorts below 0xFF and below every other continuation, so encoded parts sort
// as raw bytes do, and none is a prefix of another.
const (
	escape     = 0x00
	escapedNUL = 0xff
	terminator = 0x01
)

// AppendPart appends the escaped and terminated form of part to dst.
func AppendPart[T ~string | ~[]byte](dst []byte, part T) []byte {
	return append(AppendPartPrefix(dst, part), escape, terminator)
}

// AppendPartPrefix appends the escaped form of prefix without a terminator: every
// part that starts with prefix has an encoding that starts with it.
func AppendPartPrefix[T ~string | ~[]byte](dst []byte, prefix T) []byte {
	for i := 0; i < len(prefix); i++ {
		if prefix[i] == escape {
			dst = append(dst, escape, escapedNUL)
		} else {
			dst = append(dst, prefix[i])
		}
	}
	return dst
}

// partLen returns how many bytes AppendPart appends for part.
func partLen(part string) int {
	n := len(part) + 2
	for i := 0; i < len(part); i++ {
		if part[i] == escape {
			n++
		}
	}
	return n
}

// ParsePart reads one part that [AppendPart] wrote from the front of b and returns it
// with what follows, which shares b's memory.
// ok is false if b does not start with a whole, well-formed part.
func ParsePart(b []byte) (part string, rest []byte, ok bool) {
	at := bytes.IndexByte(b, escape)
	if at < 0 || at+1 >= len(b) {
		return "", nil, false
	}
	if b[at+1] == terminator { // the usual case: nothing escaped
		return string(b[:at]), b[at+2:], true
	}
	var out []byte
	for i := 0; i+1 < len(b); i++ {
		if b[i] != escape {
			out = append(out, b[i])
			continue
		}
		switch b[i+1] {
		case escapedNUL:
			out = append(out, escape)
			i++
		case terminator:
			return string(out), b[i+2:], true
		default:
			return "", nil, false
		}
	}
	return "", nil, false
}
