package cursor

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Key signs tokens, or is still accepted on those that it signed.
type Key struct {
	ID   uint32
	Root [32]byte // secret
	// NotAfter is until when the tokens of a retired key are accepted. Zero for the active
	// key.
	NotAfter time.Time
}

// NewKey returns a key of random bytes.
func NewKey(id uint32) Key {
	k := Key{ID: id}
	_, _ = rand.Read(k.Root[:]) // never fails
	return k
}

// Ring is an active key and those that were active before. It is safe for concurrent use.
type Ring struct {
	mu       sync.RWMutex
	keys     []Key // the active one last
	noOthers bool
}

// ErrRing is matched by errors of rings that are not whole.
var ErrRing = errors.New("cursor: key ring")

// NewRing returns a ring that signs with active and accepts the tokens of retired keys
// until they end. Ids must differ; a root of zeros is refused.
func NewRing(active Key, retired ...Key) (*Ring, error) {
	active.NotAfter = time.Time{}
	r := &Ring{keys: append(slices.Clone(retired), active)}
	for i, k := range r.keys {
		switch {
		case k.Root == [32]byte{}:
			return nil, fmt.Errorf("%w: key %d has no root: take 32 random bytes", ErrRing, k.ID)
		case slices.ContainsFunc(r.keys[:i], func(o Key) bool { return o.ID == k.ID }):
			return nil, fmt.Errorf("%w: two keys have the id %d", ErrRing, k.ID)
		case i < len(retired) && k.NotAfter.IsZero():
			return nil, fmt.Errorf("%w: retired key %d has no end", ErrRing, k.ID)
		}
	}
	return r, nil
}

// AllowKeyRotation says whether tokens of retired keys are accepted until they end, which
// they are by default.
func (r *Ring) AllowKeyRotation(allow bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noOthers = !allow
}

// Rotate makes a new key the active one. Tokens of the one before are accepted until
// until. Keys that have ended at now are dropped.
func (r *Ring) Rotate(until, now time.Time) Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.keys) - 1
	r.keys[last].NotAfter = until
	id := uint32(0)
	for _, k := range r.keys {
		id = max(id, k.ID)
	}
	for id++; slices.ContainsFunc(r.keys, func(k Key) bool { return k.ID == id }); id++ {
		// Behind the greatest number ids begin anew, with one that no key has.
	}
	key := NewKey(id)
	r.keys = append(slices.DeleteFunc(r.keys, func(k Key) bool { return now.After(k.NotAfter) }), key)
	return key
}

// Keys returns the ring's keys, the active one last.
func (r *Ring) Keys() []Key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.keys)
}

func (r *Ring) activeKey() Key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[len(r.keys)-1]
}

// accepts returns the key called id, if its tokens count at now.
func (r *Ring) accepts(id uint32, now time.Time) (Key, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for i, k := range r.keys {
		active := i == len(r.keys)-1
		if k.ID == id && (active || !r.noOthers && !now.After(k.NotAfter)) {
			return k, true
		}
	}
	return Key{}, false
}

// A ring as text: a first line, a line for each key, and a SHA-256 of the lines before.
const (
	textFirst  = "eventstream cursor keys, format 1\n"
	textSum    = "sha256: "
	textActive = "active"
)

// lastEnd is the last end that a text can say: later ones are written as it.
var lastEnd = time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)

// MarshalText returns the ring as text, secrets and all.
func (r *Ring) MarshalText() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(textFirst)
	keys := r.Keys()
	for i, k := range keys {
		until := textActive
		if i < len(keys)-1 {
			until = earlier(k.NotAfter.UTC(), lastEnd).Format(time.RFC3339Nano)
		}
		fmt.Fprintf(&b, "key: %d %x %s\n", k.ID, k.Root, until)
	}
	fmt.Fprintf(&b, "%s%x\n", textSum, sha256.Sum256(b.Bytes()))
	return b.Bytes(), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// ParseRing reads what MarshalText wrote.
func ParseRing(text []byte) (*Ring, error) {
	malformed := func(what string) (*Ring, error) { return nil, fmt.Errorf("%w: malformed: %s", ErrRing, what) }
	at := bytes.LastIndex(text, []byte(textSum))
	if at < 0 || !bytes.HasPrefix(text, []byte(textFirst)) {
		return malformed("it does not begin or end as a ring does")
	}
	if sum := sha256.Sum256(text[:at]); string(text[at:]) != textSum+hex.EncodeToString(sum[:])+"\n" {
		return malformed("the sum does not match")
	}
	var keys []Key
	active := false
	for line := range strings.Lines(string(text[len(textFirst):at])) {
		var k Key
		var root, until string
		if n, err := fmt.Sscanf(line, "key: %d %s %s\n", &k.ID, &root, &until); n != 3 || err != nil || active || !strings.HasSuffix(line, "\n") {
			return malformed("a line is no key")
		}
		raw, err := hex.DecodeString(root)
		if err != nil || len(raw) != len(k.Root) {
			return malformed("a root is not 32 bytes in hexadecimal")
		}
		copy(k.Root[:], raw)
		if active = until == textActive; !active {
			if k.NotAfter, err = time.Parse(time.RFC3339Nano, until); err != nil {
				return malformed("an end is no time")
			}
		}
		keys = append(keys, k)
	}
	if !active {
		return malformed("no key is active")
	}
	last := len(keys) - 1
	return NewRing(keys[last], keys[:last]...)
}
