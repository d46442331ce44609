package ledger

import "strings"

// note is what comments say of a transaction or a posting.
type note struct {
	lines []string
	tags  map[string]string // the value is "" for a tag that has none
}

// add takes a comment without its semicolon. In it, :one:two: are tags, and "Key: text"
// is a tag with a value.
func (n *note) add(text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	n.lines = append(n.lines, text)
	n.addTags(text)
}

func (n *note) addTags(text string) {
	words := strings.Fields(text)
	for i, word := range words {
		switch {
		case len(word) > 2 && word[0] == ':' && word[len(word)-1] == ':':
			for tag := range strings.SplitSeq(word[1:len(word)-1], ":") {
				if tag != "" {
					n.set(tag, "")
				}
			}
		case i == 0 && len(word) > 1 && word[len(word)-1] == ':':
			n.set(strings.TrimRight(word, ":"), strings.TrimSpace(text[len(word):]))
			return
		}
	}
}

// set gives a tag its value; the last one counts.
func (n *note) set(tag, value string) {
	if tag == "" {
		return
	}
	if n.tags == nil {
		n.tags = map[string]string{}
	}
	n.tags[tag] = value
}

func (n *note) text() string { return strings.Join(n.lines, "\n") }
