package projection

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Locker hands out leases: the right to run what a name stands for, which one holder has
// at a time. A holder that no longer answers loses it; what it still writes is refused
// by its token. All methods are safe for concurrent use. TestLockers holds every driver
// to the same rules.
//
// Errors: [*LockedError] if somebody holds the lease; one that matches
// [ErrLockUnavailable] if the driver itself fails; [ErrLeaseLost].
type Locker interface {
	// Acquire takes the lease called name for owner, if nobody holds it, its holder did not
	// renew it for its ttl, or its holder belongs to an earlier session of the store.
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (Lease, error)
	// Holder tells who holds the lease. ok is false if nobody does.
	Holder(name string) (h Holder, ok bool, err error)
	// ForceRelease takes the lease from its holder, whoever it is, and remembers who asked
	// for it and why.
	ForceRelease(name, by, reason string) error
}

// Lease is a lease that was acquired.
type Lease interface {
	// Token rises with each holder of the name.
	Token() uint64
	// Renew puts the end of the lease off. It fails with [ErrLeaseLost] once somebody else
	// took it, or it was released by force.
	Renew() error
	// Check fails with [ErrLeaseLost] if the lease is not the holder's any more. It is
	// asked in the critical section in which a view is committed.
	Check() error
	// Release gives the lease up. It does nothing to one that was lost.
	Release() error
}

// Holder is who holds a lease.
type Holder struct {
	Owner      string
	Session    string // of the store, when it was acquired
	Token      uint64
	AcquiredAt time.Time
	RenewedAt  time.Time
	TTL        time.Duration
	// Zombie says that the holder is from an earlier session, or did not renew in time:
	// whoever acquires next gets the lease.
	Zombie bool
}

var (
	// ErrLocked is matched by [*LockedError].
	ErrLocked = errors.New("projection: lease is held")
	// ErrLeaseLost says that a lease is somebody else's by now.
	ErrLeaseLost = errors.New("projection: lease was lost")
	// ErrLockUnavailable says that the driver of the leases failed.
	ErrLockUnavailable = errors.New("projection: leases are not available")
)

// LockedError is a lease that somebody holds.
type LockedError struct {
	Name  string
	Owner string
	Age   time.Duration // since it was acquired
	Idle  time.Duration // since it was renewed
}

// Error names the holder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("projection: %q is held by %q for %v, renewed %v ago: wait until it ends, or release it by force", e.Name, e.Owner, e.Age, e.Idle)
}

// Is matches [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// leaseRecord is what both drivers keep of a name. It stays when the lease is released,
// so that tokens rise.
type leaseRecord struct {
	Owner      string `msgpack:"owner"` // "": nobody
	Session    string `msgpack:"session"`
	Token      uint64 `msgpack:"token"`
	AcquiredAt int64  `msgpack:"acquired_at"` // ns since 1970, UTC
	RenewedAt  int64  `msgpack:"renewed_at"`
	TTL        int64  `msgpack:"ttl"`
	ForcedBy   string `msgpack:"forced_by"` // who released it by force last, and why
	ForcedFor  string `msgpack:"forced_for"`
	ForcedAt   int64  `msgpack:"forced_at"`
}

// zombie reports whether the holder is gone. A lease is still held at the very end of
// its ttl. A clock that went back makes nobody a zombie.
func (r *leaseRecord) zombie(now time.Time, session string) bool {
	return r.Session != session || now.UnixNano()-r.RenewedAt > r.TTL
}

// acquire makes owner the holder, or says who is.
func (r *leaseRecord) acquire(name, owner, session string, now time.Time, ttl time.Duration) error {
	if r.Owner != "" && !r.zombie(now, session) {
		return &LockedError{Name: name, Owner: r.Owner, Age: now.Sub(time.Unix(0, r.AcquiredAt)), Idle: now.Sub(time.Unix(0, r.RenewedAt))}
	}
	r.Owner, r.Session, r.Token = owner, session, r.Token+1
	r.AcquiredAt, r.RenewedAt, r.TTL = now.UnixNano(), now.UnixNano(), int64(ttl)
	return nil
}

func (r *leaseRecord) force(by, reason string, now time.Time) {
	r.Owner, r.ForcedBy, r.ForcedFor, r.ForcedAt = "", by, reason, now.UnixNano()
}

// held reports whether token is still the holder's.
func (r *leaseRecord) held(token uint64) error {
	if r.Owner == "" || r.Token != token {
		return fmt.Errorf("%w: token %d, now %d, held by %q", ErrLeaseLost, token, r.Token, r.Owner)
	}
	return nil
}

func (r *leaseRecord) holder(now time.Time, session string) (Holder, bool) {
	if r.Owner == "" {
		return Holder{}, false
	}
	return Holder{
		Owner: r.Owner, Session: r.Session, Token: r.Token, AcquiredAt: time.Unix(0, r.AcquiredAt).UTC(), RenewedAt: time.Unix(0, r.RenewedAt).UTC(),
		TTL: time.Duration(r.TTL), Zombie: r.zombie(now, session),
	}, true
}

// checkLease validates what every driver is asked for.
func checkLease(name, owner string, ttl time.Duration) error {
	switch {
	case !validName(name):
		return argument("name", "%q is not 1 to %d of a-z, 0-9, - and _", name, maxName)
	case owner == "":
		return argument("owner", "it is empty: say who holds the lease")
	case ttl < time.Millisecond:
		return argument("ttl", "%v is less than 1ms", ttl)
	}
	return nil
}
