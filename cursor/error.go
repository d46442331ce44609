package cursor

import "errors"

// ErrInvalid is matched by [*Error].
var ErrInvalid = errors.New("cursor: not valid")

// Reason is why a token was refused. It is for logs and for the caller's own decisions,
// not for whoever sent the token: to them all refusals read the same.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	Malformed        Reason = "malformed"         // not a token, or too long
	UnknownKey       Reason = "unknown_key"       // signed with a key that the ring does not have, or has no longer
	InvalidSignature Reason = "invalid_signature" // changed, or of another tenant
	Stale            Reason = "stale"             // of another incarnation of the store: from before a restore
	WrongQuery       Reason = "wrong_query"       // of another query, or another direction of it
	Expired          Reason = "expired"
)

// Error is a token that was refused. It does not hold the token.
type Error struct{ Reason Reason }

// Error says what to do; it is the same for every reason.
func (e *Error) Error() string {
	return "cursor: not valid for this query: ask for the first page again"
}

// Is matches [ErrInvalid].
func (e *Error) Is(target error) bool { return target == ErrInvalid }
