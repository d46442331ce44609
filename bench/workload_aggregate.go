package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/snapshot"
)

// ledger is the state that the aggregate figures fold: balances by account and by cost
// centre. Of 10,000 events it takes about 55 KB in msgpack.
type ledger struct {
	Entries  int64            `msgpack:"entries"`
	Balance  int64            `msgpack:"balance"`
	Accounts map[string]int64 `msgpack:"accounts"`
	Centers  map[string]int64 `msgpack:"centers"`
}

// Apply takes a posting into the balances.
func (l *ledger) Apply(event any) {
	p := event.(Posting)
	if l.Accounts == nil {
		l.Accounts, l.Centers = make(map[string]int64), make(map[string]int64)
	}
	l.Entries++
	l.Balance += p.AmountCent
	l.Accounts[p.Account] += p.AmountCent
	l.Centers[p.CostCenter] += p.AmountCent
}

type ledgers = aggregate.Repository[*ledger, aggregate.Command[ledger]]

func newLedgers(db *eventstream.DB, opts *aggregate.Options) (*ledgers, error) {
	events, err := codec.NewRegistry(codec.Type[Posting]("JournalEntryPosted", 1))
	if err != nil {
		return nil, err
	}
	return aggregate.New(db, events, aggregate.Struct[ledger](), opts)
}

// snapshotEvery is how many events lie between the snapshots of the aggregate figures,
// which all are kept. The newest lies half as many below the head: where a load finds it
// on average.
const snapshotEvery = snapshot.DefaultEvery

// aggregateStore is a store with one stream of 10,000 events and its snapshots.
type aggregateStore struct {
	dir    string
	stream eventstream.StreamID
	bytes  int64
	state  ledger
}

func (a *aggregateStore) bytesPerEvent() (float64, error) { return float64(a.bytes) / longStream, nil }

// aggregates returns the store of the aggregate figures.
func (b *bed) aggregates(ctx context.Context) (*aggregateStore, error) {
	if b.aggregate != nil {
		return b.aggregate, nil
	}
	dir, err := b.subdir("aggregate")
	if err != nil {
		return nil, err
	}
	a := &aggregateStore{dir: filepath.Join(dir, "store"), stream: streamName(0)}
	b.opts.Progress(fmt.Sprintf("building an aggregate of %d events with snapshots", longStream))
	if err := a.build(ctx, newGenerator(b.opts.Seed, 1, b.opts.Size)); err != nil {
		return nil, fmt.Errorf("build an aggregate of %d events: %w", longStream, err)
	}
	if a.bytes, err = directoryBytes(a.dir); err != nil {
		return nil, err
	}
	b.aggregate = a
	return a, nil
}

func (a *aggregateStore) build(ctx context.Context, g *generator) (err error) {
	db, err := openStore(a.dir, eventstream.None)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r, err := newLedgers(db, &aggregate.Options{Policy: snapshot.Never(), Keep: longStream})
	if err != nil {
		return err
	}
	defer r.Close()
	for n := 0; n < longStream; {
		size := snapshotEvery
		if n == 0 || n > longStream-snapshotEvery {
			size = snapshotEvery / 2
		}
		batch := make([]eventstream.NewEvent, size)
		for i := range batch {
			batch[i] = g.event()
		}
		if _, err := db.Append(ctx, a.stream, eventstream.Any, batch...); err != nil {
			return err
		}
		if n += size; n == longStream {
			break
		}
		if _, err := r.Snapshot(ctx, a.stream); err != nil {
			return err
		}
	}
	loaded, err := r.Load(ctx, a.stream)
	if err != nil {
		return err
	}
	a.state = *loaded.State
	if loaded.Version != longStream || loaded.Events != snapshotEvery/2 {
		return fmt.Errorf("the aggregate is at version %d, %d events above its snapshot", loaded.Version, loaded.Events)
	}
	return awaitSealed(ctx, db)
}

// aggregateFigure measures something on the aggregate, with snapshots against without.
func aggregateFigure(name, unit, baseline string, product, base func(ctx context.Context, a *aggregateStore, r *ledgers, rng *rand.Rand) (int, error)) figure {
	return figure{
		name: name, unit: unit, baseline: baseline,
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			a, err := b.aggregates(ctx)
			if err != nil {
				return nil, err
			}
			return &contest{
				product:  a.turn(b.opts.Durability, b.opts.Seed, &aggregate.Options{Policy: snapshot.Never()}, product),
				baseline: a.turn(b.opts.Durability, b.opts.Seed, &aggregate.Options{NoSnapshots: true}, base),
				bytes:    a.bytesPerEvent, events: longStream,
			}, nil
		},
	}
}

func (a *aggregateStore) turn(durability eventstream.Durability, seed uint64, opts *aggregate.Options, do func(context.Context, *aggregateStore, *ledgers, *rand.Rand) (int, error)) turn {
	rng := rand.New(rand.NewPCG(seed, 2))
	return func(ctx context.Context, dur time.Duration, lat *latencies) (s sample, err error) {
		db, err := openStore(a.dir, durability)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		r, err := newLedgers(db, opts)
		if err != nil {
			return sample{}, err
		}
		defer r.Close()
		return measure(ctx, 1, dur, lat, func(ctx context.Context, _ call) (int, error) { return do(ctx, a, r, rng) })
	}
}

// aggregateLoadFigure loads an aggregate of 10,000 events, from its snapshot and the 50
// events above it.
func aggregateLoadFigure() figure {
	load := func(ctx context.Context, a *aggregateStore, r *ledgers, _ *rand.Rand) (int, error) {
		return 1, a.load(ctx, r)
	}
	return aggregateFigure("aggregate-load-10k", "loads", "the same load without snapshots: all 10,000 events", load, load)
}

// aggregateReplayFigure folds 10,000 events, against reading them.
func aggregateReplayFigure() figure {
	return figure{
		name: "aggregate-replay-10k", baseline: "ReadStream of the same events, which are not decoded",
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			a, err := b.aggregates(ctx)
			if err != nil {
				return nil, err
			}
			fold := func(ctx context.Context, a *aggregateStore, r *ledgers, _ *rand.Rand) (int, error) {
				return longStream, a.load(ctx, r)
			}
			return &contest{
				product:  a.turn(b.opts.Durability, b.opts.Seed, &aggregate.Options{NoSnapshots: true}, fold),
				baseline: a.readTurn(b.opts.Durability),
				bytes:    a.bytesPerEvent, events: longStream,
			}, nil
		},
	}
}

func (a *aggregateStore) readTurn(durability eventstream.Durability) turn {
	return func(ctx context.Context, dur time.Duration, lat *latencies) (s sample, err error) {
		db, err := openStore(a.dir, durability)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		return measure(ctx, 1, dur, lat, func(ctx context.Context, _ call) (int, error) {
			events := 0
			for _, err := range db.ReadStream(ctx, a.stream) {
				if err != nil {
					return events, err
				}
				events++
			}
			return events, nil
		})
	}
}

// load loads the aggregate and holds it to what it must be.
func (a *aggregateStore) load(ctx context.Context, r *ledgers) error {
	loaded, err := r.Load(ctx, a.stream)
	if err != nil {
		return err
	}
	if loaded.Version != longStream || loaded.State.Balance != a.state.Balance || loaded.State.Entries != longStream {
		return fmt.Errorf("load gave version %d and balance %d, want %d and %d", loaded.Version, loaded.State.Balance, longStream, a.state.Balance)
	}
	return nil
}

// stateAtFigure asks for the state at random versions of 10,000.
func stateAtFigure() figure {
	ask := func(ctx context.Context, a *aggregateStore, r *ledgers, rng *rand.Rand) (int, error) {
		version := 1 + rng.IntN(longStream)
		loaded, err := r.StateAt(ctx, a.stream, eventstream.To(eventstream.Version(version)))
		if err == nil && loaded.State.Entries != int64(version) {
			err = fmt.Errorf("state at version %d has %d entries", version, loaded.State.Entries)
		}
		return 1, err
	}
	return aggregateFigure("state-at-10k", "states", "the same question without snapshots: all events up to there", ask, ask)
}

// stateOf returns the state of about kilobytes that the snapshot figures store.
func stateOf(kilobytes int) *ledger {
	rng := rand.New(rand.NewPCG(7, 0))
	l := &ledger{Entries: 10_000, Balance: rng.Int64(), Accounts: map[string]int64{}, Centers: map[string]int64{}}
	for n := 0; n < 93*kilobytes; n++ { // an account takes about 11 bytes
		l.Accounts[strconv.Itoa(10_000+n)] = rng.Int64N(10_000_000) - 5_000_000
	}
	return l
}

// snapshotKilobytes are the sizes of states that the snapshot figures measure.
var snapshotKilobytes = [...]int{1, 60}

// snapshotFigures encode and decode snapshots: serializing, zstd and sum, against
// serializing alone. Their unit is a KiB of the serialized state.
func snapshotFigures() []figure {
	var all []figure
	for _, kb := range snapshotKilobytes {
		encode := figure{
			name: fmt.Sprintf("snapshot-encode-%dk", kb), unit: "KiB", baseline: "MessagePack alone",
			prepare: func(context.Context, *bed) (*contest, error) {
				p, err := newPackedState(kb)
				if err != nil {
					return nil, err
				}
				return p.contest(p.encode, p.serialize), nil
			},
		}
		decode := figure{
			name: fmt.Sprintf("snapshot-decode-%dk", kb), unit: "KiB", baseline: "MessagePack alone",
			prepare: func(context.Context, *bed) (*contest, error) {
				p, err := newPackedState(kb)
				if err != nil {
					return nil, err
				}
				return p.contest(p.decode, p.deserialize), nil
			},
		}
		all = append(all, encode, decode)
	}
	return all
}

// packedState is a state, serialized, and its record.
type packedState struct {
	state  *ledger
	data   []byte
	record []byte
	buf    []byte
}

func newPackedState(kilobytes int) (*packedState, error) {
	p := &packedState{state: stateOf(kilobytes)}
	if err := p.encode(); err != nil {
		return nil, err
	}
	p.record = append([]byte(nil), p.buf...)
	return p, nil
}

const packedStream = eventstream.StreamID("finance-account-000000")

// encode makes a record of the state.
func (p *packedState) encode() (err error) {
	if err := p.serialize(); err != nil {
		return err
	}
	p.buf, err = snapshot.Append(p.buf[:0], 1, &snapshot.Snapshot{
		Stream: packedStream, Version: longStream, Codec: codec.Msgpack, State: p.data,
		OccurredUntil: time.Unix(0, 0), RecordedUntil: time.Unix(0, 0), TakenAt: time.Unix(0, 0),
		Algorithm: snapshot.XXHash64, Compression: snapshot.Zstd,
	})
	return err
}

func (p *packedState) serialize() (err error) {
	p.data, err = codec.EncodeAs(codec.Msgpack, p.state)
	return err
}

// decode makes a state of the record.
func (p *packedState) decode() error {
	s, err := snapshot.Parse(p.record, 1, packedStream, longStream)
	if err != nil {
		return err
	}
	return p.check(codec.DecodeAs[ledger](codec.Payload{Codec: s.Codec, Data: s.State}))
}

func (p *packedState) deserialize() error {
	return p.check(codec.DecodeAs[ledger](codec.Payload{Codec: codec.Msgpack, Data: p.data}))
}

func (p *packedState) check(l ledger, err error) error {
	if err == nil && (l.Balance != p.state.Balance || len(l.Accounts) != len(p.state.Accounts)) {
		err = errors.New("the state is not what it was")
	}
	return err
}

// contest lets two ways to treat the state take turns.
func (p *packedState) contest(product, baseline func() error) *contest {
	kib := max(len(p.data)>>10, 1)
	side := func(do func() error) turn {
		return func(ctx context.Context, dur time.Duration, lat *latencies) (sample, error) {
			return measure(ctx, 1, dur, lat, func(context.Context, call) (int, error) { return kib, do() })
		}
	}
	return &contest{
		product: side(product), baseline: side(baseline), events: 1,
		bytes: func() (float64, error) { return float64(len(p.record)), nil },
	}
}
