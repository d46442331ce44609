package eventstream

import (
	"strconv"
)

// Expected says which version a stream must have for an append to go through. It
// is required: its zero value is an error, so that nobody appends unchecked by
// leaving it out.
type Expected uint64

// What an append may expect of a stream.
const (
	// Any accepts the stream as it is, existing or not.
	Any Expected = 1
	// NoStream requires that the stream has no events yet.
	NoStream Expected = 2
	// StreamExists requires that the stream has at least one event.
	StreamExists Expected = 3

	exactBase Expected = 4
)

// Exact requires that the stream's newest event has version v. Exact(0) is
// [NoStream].
func Exact(v Version) Expected {
	if v == 0 {
		return NoStream
	}
	return exactBase + Expected(min(v, Version(1)<<62))
}

// exact returns the version that e requires, if it requires one.
func (e Expected) exact() (Version, bool) {
	if e == NoStream {
		return 0, true
	}
	return Version(e - exactBase), e > exactBase
}

// valid reports whether e was made by this package.
func (e Expected) valid() bool { return e >= Any && e != exactBase }

// matches reports whether a stream at version v is what e requires.
func (e Expected) matches(v Version) bool {
	switch e {
	case Any:
		return true
	case StreamExists:
		return v > 0
	default:
		want, _ := e.exact()
		return v == want
	}
}

// String returns "any", "none", "exists" or the version in decimal.
func (e Expected) String() string {
	switch {
	case e == Any:
		return "any"
	case e == NoStream:
		return "none"
	case e == StreamExists:
		return "exists"
	case e > exactBase:
		return strconv.FormatUint(uint64(e-exactBase), 10)
	default:
		return "unset"
	}
}

// ParseExpected reads what [Expected.String] writes: "any", "none", "exists" or a
// version.
func ParseExpected(s string) (Expected, error) {
	switch s {
	case "any":
		return Any, nil
	case "none":
		return NoStream, nil
	case "exists":
		return StreamExists, nil
	}
	v, err := strconv.ParseUint(s, 10, 62)
	if err != nil {
		return 0, &ArgumentError{Field: "expected version", Reason: strconv.Quote(s) + " is none of any, none, exists, or a version"}
	}
	return Exact(Version(v)), nil
}
