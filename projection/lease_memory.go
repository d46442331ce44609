package projection

import (
	"context"
	"sync"
	"time"
)

// MemoryLocker keeps leases in memory: for tests, and for several engines over one open
// store.
type MemoryLocker struct {
	now func() time.Time

	mu      sync.Mutex
	records map[string]*leaseRecord
}

// NewMemoryLocker returns a locker without leases, whose time is now's.
func NewMemoryLocker(now func() time.Time) *MemoryLocker {
	return &MemoryLocker{now: now, records: make(map[string]*leaseRecord)}
}

// memorySession is the one session that a MemoryLocker knows: its own life.
const memorySession = "memory"

var _ Locker = (*MemoryLocker)(nil)

// Acquire implements [Locker].
func (l *MemoryLocker) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (Lease, error) {
	if err := checkLease(name, owner, ttl); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.records[name]
	if r == nil {
		r = &leaseRecord{}
		l.records[name] = r
	}
	if err := r.acquire(name, owner, memorySession, l.now(), ttl); err != nil {
		return nil, err
	}
	return &memoryLease{l: l, r: r, token: r.Token}, nil
}

// Holder implements [Locker].
func (l *MemoryLocker) Holder(name string) (Holder, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.records[name]
	if r == nil {
		return Holder{}, false, nil
	}
	h, ok := r.holder(l.now(), memorySession)
	return h, ok, nil
}

// ForceRelease implements [Locker].
func (l *MemoryLocker) ForceRelease(name, by, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.records[name]; r != nil {
		r.force(by, reason, l.now())
	}
	return nil
}

type memoryLease struct {
	l     *MemoryLocker
	r     *leaseRecord
	token uint64
}

func (m *memoryLease) Token() uint64 { return m.token }

func (m *memoryLease) Renew() error {
	return m.change(func() { m.r.RenewedAt = m.l.now().UnixNano() })
}

func (m *memoryLease) Check() error { return m.change(func() {}) }

func (m *memoryLease) Release() error {
	_ = m.change(func() { m.r.Owner = "" }) // it was lost: there is nothing to release
	return nil
}

func (m *memoryLease) change(change func()) error {
	m.l.mu.Lock()
	defer m.l.mu.Unlock()
	if err := m.r.held(m.token); err != nil {
		return err
	}
	change()
	return nil
}
