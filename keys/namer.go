package keys

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// DefaultNamer returns the stream name "context-kind-id" in lower case, so that
// ("Finance", "Account", "1000") becomes "finance-account-1000".
//
// Each part must hold more than blanks; the name must fit in [MaxNameBytes]; and
// only a–z, 0–9, '_' and '-' are allowed, '-' in id alone, so that the name can be
// taken apart again. The rules are checked in that order, and the [*NameError]
// names the part at fault. ASCII letters are folded to lower case, which merges
// ids that differ in case: an id that comes from outside goes through [SafeID]
// first.
func DefaultNamer(context, kind, id string) (StreamID, error) {
	parts := [...]struct{ part, text string }{{"context", context}, {"type", kind}, {"id", id}}
	for _, p := range parts {
		if strings.TrimSpace(p.text) == "" {
			return "", &NameError{Part: p.part, Reason: NameEmpty, Name: p.text}
		}
	}
	name := asciiLower(context + "-" + kind + "-" + id)
	if len(name) > MaxNameBytes {
		return "", &NameError{Part: "stream", Reason: NameTooLong, Name: name, Max: MaxNameBytes}
	}
	for _, p := range parts {
		for _, r := range asciiLower(p.text) {
			if r == '-' && p.part != "id" {
				return "", &NameError{Part: p.part, Reason: NameSeparator, Name: p.text}
			}
			if !isNameRune(r) {
				return "", &NameError{Part: p.part, Reason: NameBadCharacter, Name: p.text, Rune: r}
			}
		}
	}
	return StreamID(name), nil
}

// maxSafeIDBytes leaves room in a stream name for a context and a type.
const maxSafeIDBytes = 180

// SafeID makes any text fit as the id of a stream name. A text that already fits
// (a–z, 0–9, '_', '-', at most 180 bytes) is returned as it stands. Of any other
// it returns the lower-case form with '_' for each other character, then '-' and
// the 16 hex digits of the text's xxhash64, so that texts that differ only in
// case or in a replaced character stay apart.
func SafeID(original string) string {
	safe := len(original) > 0 && len(original) <= maxSafeIDBytes
	for i := 0; safe && i < len(original); i++ {
		safe = isNameRune(rune(original[i]))
	}
	if safe {
		return original
	}
	var b strings.Builder
	for _, r := range asciiLower(original) {
		if b.Len() == maxSafeIDBytes-17 {
			break
		}
		if !isNameRune(r) {
			r = '_'
		}
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		b.WriteByte('_')
	}
	sum := binary.BigEndian.AppendUint64(nil, xxhash.Sum64String(original))
	return b.String() + "-" + hex.EncodeToString(sum)
}

func isNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// asciiLower folds A–Z alone: folding other letters would depend on the Unicode
// version and could change a name's length. It works on bytes, since text that is
// not UTF-8 must keep its length too.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
