package eventstream

import "unicode/utf8"

// pattern is what a text is like, taken apart.
type pattern []patternItem

// patternItem is one character to meet, any one character, or any bytes.
type patternItem struct {
	character rune
	any, many bool
}

func parsePattern(text string) (p pattern) {
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			p, escaped = append(p, patternItem{character: r}), false
		case r == '\\':
			escaped = true
		case r == '%':
			if n := len(p); n == 0 || !p[n-1].many { // two are one
				p = append(p, patternItem{many: true})
			}
		case r == '_':
			p = append(p, patternItem{any: true})
		default:
			p = append(p, patternItem{character: r})
		}
	}
	if escaped {
		p = append(p, patternItem{character: '\\'})
	}
	return p
}

// matches reports whether the whole text fits. It goes back to the last "%" only, and so
// takes at most the product of both lengths.
func (p pattern) matches(text string) bool {
	at, i := 0, 0
	retry, retryAt := -1, 0 // the item behind the last "%", and where the text goes on if it takes one more
	for at < len(text) {
		r, size := utf8.DecodeRuneInString(text[at:])
		switch {
		case i < len(p) && p[i].many:
			i++
			retry, retryAt = i, at
			continue
		case i < len(p) && (p[i].any || p[i].character == r):
			i++
			at += size
			continue
		case retry < 0:
			return false
		}
		_, size = utf8.DecodeRuneInString(text[retryAt:])
		retryAt += size
		i, at = retry, retryAt
	}
	for i < len(p) && p[i].many {
		i++
	}
	return i == len(p)
}
