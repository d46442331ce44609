package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nexus-erp/eventstream"
)

// StoreLocker keeps leases in the store itself, durably, so that they outlive the
// process: whoever opens the store next sees who held one, and takes it over, since a
// store has one session at a time.
type StoreLocker struct {
	db     *eventstream.DB
	tenant *eventstream.Tenant
}

// NewStoreLocker returns the leases of a tenant of db.
func NewStoreLocker(db *eventstream.DB, tenant string) *StoreLocker {
	return &StoreLocker{db: db, tenant: db.Tenant(tenant)}
}

var _ Locker = (*StoreLocker)(nil)

func leaseName(name string) string { return name + "/lease" }

// unavailable wraps what keeps leases from being read or written.
func unavailable(name string, err error) error {
	return fmt.Errorf("%w: %q: %w", ErrLockUnavailable, name, err)
}

// read returns the record of a name, and its stored form.
func (l *StoreLocker) read(name string) (r leaseRecord, stored []byte, err error) {
	stored, err = l.tenant.DerivedState(leaseName(name))
	if err == nil && stored != nil {
		err = unpack(leaseName(name), stored, &r)
	}
	if err != nil {
		return leaseRecord{}, nil, unavailable(name, err)
	}
	return r, stored, nil
}

// change reads the record, lets change work on it, and stores it, again until nobody
// came in between.
func (l *StoreLocker) change(name string, change func(*leaseRecord) error) (leaseRecord, error) {
	for {
		r, stored, err := l.read(name)
		if err != nil {
			return leaseRecord{}, err
		}
		if err := change(&r); err != nil {
			return leaseRecord{}, err
		}
		state, err := pack(r)
		if err != nil {
			return leaseRecord{}, err
		}
		swapped, err := l.tenant.SwapState(leaseName(name), stored, state)
		if err != nil {
			return leaseRecord{}, unavailable(name, err)
		}
		if swapped {
			return r, nil
		}
	}
}

// Acquire implements [Locker].
func (l *StoreLocker) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (Lease, error) {
	if err := checkLease(name, owner, ttl); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := l.change(name, func(r *leaseRecord) error {
		return r.acquire(name, owner, l.db.Session(), l.db.Now(), ttl)
	})
	if err != nil {
		return nil, err
	}
	return &storeLease{l: l, name: name, token: r.Token}, nil
}

// Holder implements [Locker].
func (l *StoreLocker) Holder(name string) (Holder, bool, error) {
	r, _, err := l.read(name)
	if err != nil {
		return Holder{}, false, err
	}
	h, ok := r.holder(l.db.Now(), l.db.Session())
	return h, ok, nil
}

// ForceRelease implements [Locker].
func (l *StoreLocker) ForceRelease(name, by, reason string) error {
	_, err := l.change(name, func(r *leaseRecord) error {
		r.force(by, reason, l.db.Now())
		return nil
	})
	return err
}

type storeLease struct {
	l     *StoreLocker
	name  string
	token uint64
}

func (s *storeLease) Token() uint64 { return s.token }

func (s *storeLease) Renew() error {
	return s.change(func(r *leaseRecord) { r.RenewedAt = s.l.db.Now().UnixNano() })
}

func (s *storeLease) Check() error {
	r, _, err := s.l.read(s.name)
	if err != nil {
		return err
	}
	return r.held(s.token)
}

func (s *storeLease) Release() error {
	err := s.change(func(r *leaseRecord) { r.Owner = "" })
	if errors.Is(err, ErrLeaseLost) {
		return nil
	}
	return err
}

func (s *storeLease) change(change func(*leaseRecord)) error {
	_, err := s.l.change(s.name, func(r *leaseRecord) error {
		if err := r.held(s.token); err != nil {
			return err
		}
		change(r)
		return nil
	})
	return err
}
