package eventstream_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// claim makes name the owner's, if nobody has it.
func claim(tx *eventstream.UpdateTx, name, owner string) error {
	names := tx.Records("names")
	if _, taken, err := names.Get([]byte(name)); err != nil || taken {
		return errors.Join(err, errTaken)
	}
	return errors.Join(
		names.Put([]byte(name), []byte(owner)),
		tx.Append(eventstream.StreamID("user-"+owner), eventstream.NoStream, event("Registered")),
	)
}

var errTaken = errors.New("the name is taken")

// recordsOf returns a namespace's records as "key=value".
func recordsOf(t testing.TB, of *eventstream.Tenant, namespace string) (all []string) {
	t.Helper()
	_, err := of.Update(ctx, func(tx *eventstream.UpdateTx) error {
		all = scanned(t, tx.Records(namespace).Scan(nil, nil))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func defaultTenant(db *eventstream.DB) *eventstream.Tenant {
	return db.Tenant(eventstream.DefaultTenant)
}

func TestAnUpdateCommitsEventsAndRecordsAtOnce(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for _, tenant := range []string{eventstream.DefaultTenant, "acme"} { // neither has an event yet
		of := db.Tenant(tenant)
		res, err := of.Update(ctx, func(tx *eventstream.UpdateTx) error { return claim(tx, "ada", "1") })
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "events", int(res.LastPosition-res.FirstPosition)+1, 1)
		equal(t, "stream", res.Streams[0].Stream, "user-1")
		_, err = of.Update(ctx, func(tx *eventstream.UpdateTx) error { return claim(tx, "ada", "2") })
		if !errors.Is(err, errTaken) {
			t.Errorf("the name again: got %v", err)
		}
		equalSlices(t, tenant, recordsOf(t, of, "names"), []string{"ada=1"})
		if _, err := of.Stream(ctx, "user-2"); !errors.Is(err, eventstream.ErrStreamNotFound) {
			t.Errorf("an update that was refused left a stream: %v", err)
		}
	}
	db = estest.Crash(t, db)
	equalSlices(t, "after a crash", recordsOf(t, defaultTenant(db.DB), "names"), []string{"ada=1"})
	equalSlices(t, "after a crash", recordsOf(t, db.Tenant("acme"), "names"), []string{"ada=1"})
}

// Whatever operation the power fails at, the records are those that the events say.
func TestACrashNeverPartsEventsFromRecords(t *testing.T) {
	t.Parallel()
	const updates = 7
	left, verified, manifests, operations := remainders(t), 0, 0, 0
	for n := 1; ; n++ {
		mem := vfs.NewCrashableMem()
		var crashed []*vfs.MemFS
		fs := onOperation(mem, n, func() {
			for _, r := range left {
				crashed = append(crashed, r.of(mem, n))
			}
		})
		db, err := eventstream.Open("store", scriptOptions(fs))
		if err != nil {
			t.Fatal(err)
		}
		for i := range updates {
			_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
				return errors.Join(
					tx.Records("seen").Put(fmt.Appendf(nil, "%03d", i), bytes.Repeat([]byte{byte(i)}, 40<<10)), // rotates the log on the way
					tx.Append("s-s-1", expectAt(i), event("X")),
				)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, db)
		if crashed == nil {
			break
		}
		operations++
		for i, fs := range crashed {
			if names, err := fs.List("store"); err != nil || !slices.Contains(names, "STORE") {
				continue // it was still being made
			}
			if manifestLost(t, fs) {
				manifests++
				continue
			}
			db = mustOpen(t, "store", scriptOptions(fs))
			events := mustCollect(t, db.ReadStream(ctx, "s-s-1"))
			records := recordsOf(t, defaultTenant(db), "seen")
			if len(events) != len(records) {
				t.Errorf("crash at operation %d, %v: %d events and %d records", n, left[i], len(events), len(records))
			}
			mustClose(t, db)
			verified++
		}
	}
	campaign.Count(t, campaign.CrashPoints, verified)
	campaign.Exception(t, campaign.LostManifest, manifests)
	if operations < 30 || verified < operations {
		t.Errorf("only %d operations were seen, and %d stores verified", operations, verified)
	}
}

func expectAt(version int) eventstream.Expected {
	if version == 0 {
		return eventstream.NoStream
	}
	return eventstream.Exact(eventstream.Version(version))
}

// What an update read is compared again when it commits: a record, and a range.
func TestAnUpdateThatReadWhatChangedIsAConflict(t *testing.T) {
	t.Parallel()
	read := func(key string) func(*eventstream.UpdateTx) error {
		return func(tx *eventstream.UpdateTx) error {
			_, _, err := tx.Records("n").Get([]byte(key))
			return err
		}
	}
	scan := func(from, to string, most int) func(*eventstream.UpdateTx) error {
		return func(tx *eventstream.UpdateTx) error {
			var end []byte
			if to != "" {
				end = []byte(to)
			}
			for _, err := range tx.Records("n").Scan([]byte(from), end) {
				if err != nil {
					return err
				}
				if most--; most == 0 {
					break
				}
			}
			return nil
		}
	}
	for _, tt := range []struct {
		name     string
		read     func(*eventstream.UpdateTx) error
		written  string // by somebody else, meanwhile
		deleted  bool
		conflict bool
	}{
		{"the record", read("b"), "b", false, true},
		{"the record, deleted", read("b"), "b", true, true},
		{"a record that was not there", read("x"), "x", false, true},
		{"another record", read("b"), "c", false, false},
		{"nothing", func(*eventstream.UpdateTx) error { return nil }, "b", false, false},
		{"another namespace", func(tx *eventstream.UpdateTx) error {
			_, _, err := tx.Records("m").Get([]byte("b"))
			return err
		}, "b", false, false},
		{"what it wrote itself", func(tx *eventstream.UpdateTx) error {
			_, _, err := tx.Records("n").Get([]byte("own"))
			return err
		}, "own", false, false},
		{"added to a range", scan("a", "d", 0), "bb", false, true},
		{"changed in a range", scan("a", "d", 0), "c", false, true},
		{"at the end of a range", scan("a", "c", 0), "c", false, false},
		{"before a range", scan("b", "d", 0), "a", false, false},
		{"behind all records", scan("a", "", 0), "zz", false, true},
		{"before the record at which the loop was left", scan("a", "", 2), "aa", false, true},
		{"that record", scan("a", "", 2), "b", false, true},
		{"behind it", scan("a", "", 2), "b\x00", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := estest.Open(t)
			write := func(version int, key string, remove bool) {
				_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
					err := tx.Records("n").Put([]byte(key), []byte("1"))
					if remove {
						err = tx.Records("n").Delete([]byte(key))
					}
					return errors.Join(err, tx.Append("writer", expectAt(version), event("X")))
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for i, key := range []string{"a", "b", "c"} {
				write(i, key, false)
			}
			_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
				if err := errors.Join(tx.Records("n").Put([]byte("own"), nil), tt.read(tx)); err != nil {
					return err
				}
				write(3, tt.written, tt.deleted)
				return tx.Append("reader", eventstream.NoStream, event("X"))
			})
			if !tt.conflict {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			wantErr(t, err, eventstream.ErrConflict)
			conflict := errAs[*eventstream.RecordConflictError](t, err)
			equal(t, "key", string(conflict.Key), tt.written)
			equal(t, "position", conflict.Position, 4)
			if _, err := db.Stream(ctx, "reader"); !errors.Is(err, eventstream.ErrStreamNotFound) {
				t.Errorf("the conflict was written: %v", err)
			}
		})
	}
}

// Many move amounts between records at once, each with what it read: nothing is lost and
// nothing is made, and every update leaves its event.
func TestUpdatesThatOverlapBehaveAsIfOneCameAfterTheOther(t *testing.T) {
	t.Parallel()
	const writers, moves, accounts, start = 16, 40, 5, 1000
	db := mustOpen(t, t.TempDir(), &eventstream.Options{MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	account := func(n int) []byte { return fmt.Appendf(nil, "account-%d", n) }
	amount := func(r *eventstream.Records, n int) (int64, error) {
		value, ok, err := r.Get(account(n))
		if err != nil || !ok {
			return 0, errors.Join(err, fmt.Errorf("account %d: there is none: %v", n, ok))
		}
		return int64(binary.BigEndian.Uint64(value)), nil
	}
	set := func(r *eventstream.Records, n int, to int64) error {
		return r.Put(account(n), binary.BigEndian.AppendUint64(nil, uint64(to)))
	}
	_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
		for n := range accounts {
			if err := set(tx.Records("money"), n, start); err != nil {
				return err
			}
		}
		return tx.Append("opening", eventstream.NoStream, event("X"))
	})
	if err != nil {
		t.Fatal(err)
	}
	var conflicts atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 5))
			for i := range moves {
				from := rng.IntN(accounts)
				to := (from + 1 + rng.IntN(accounts-1)) % accounts
				by := rng.Int64N(50)
				err := eventstream.RetryOnConflict(ctx, func() error {
					_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
						money := tx.Records("money")
						total := int64(0)
						for n := range accounts {
							a, err := amount(money, n)
							if err != nil {
								return err
							}
							total += a
						}
						if total != accounts*start {
							return fmt.Errorf("an update saw a sum of %d", total)
						}
						a, errA := amount(money, from)
						b, errB := amount(money, to)
						return errors.Join(errA, errB, set(money, from, a-by), set(money, to, b+by),
							tx.Append(eventstream.StreamID(fmt.Sprintf("moves-%d", w)), expectAt(i), event("Moved")))
					})
					if errors.Is(err, eventstream.ErrConflict) {
						conflicts.Add(1)
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	total := int64(0)
	_, err = db.Update(ctx, func(tx *eventstream.UpdateTx) error {
		for n := range accounts {
			a, err := amount(tx.Records("money"), n)
			if err != nil {
				return err
			}
			total += a
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "sum", total, accounts*start)
	equal(t, "events", db.Head(), writers*moves+1)
	if conflicts.Load() == 0 {
		t.Error("no update was ever a conflict: they did not overlap")
	}
	equal(t, "writes that are remembered", eventstream.RecordWritesKept(db), 0)
}

// Each name is claimed by one of many who want it.
func TestANameIsClaimedOnce(t *testing.T) {
	t.Parallel()
	const names, rivals = 60, 6
	db := estest.Open(t)
	won := make([]atomic.Int64, names)
	var wg sync.WaitGroup
	for r := range rivals {
		wg.Go(func() {
			for n := range names {
				err := eventstream.RetryOnConflict(ctx, func() error {
					_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
						return claim(tx, fmt.Sprintf("invoice-%d", n), fmt.Sprintf("%d-%d", r, n))
					})
					return err
				})
				switch {
				case err == nil:
					won[n].Add(1)
				case !errors.Is(err, errTaken):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for n := range won {
		equal(t, fmt.Sprintf("claims of invoice-%d", n), won[n].Load(), 1)
	}
	equal(t, "events", db.Head(), names)
}

// A record that is not durable is seen by nobody in the end: what rests on it waits, and
// fails with the log.
func TestNoAnswerOfAnUpdateRestsOnWhatIsNotDurable(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("the sync fails: %v", fails), func(t *testing.T) {
			t.Parallel()
			db, gate, _ := openGated(t)
			defer func() { _ = db.Close() }()
			mustAppend(t, db, "s", eventstream.NoStream, event("X"))
			gate.close()
			first := make(chan error, 1)
			go func() {
				_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error { return claim(tx, "ada", "1") })
				first <- err
			}()
			<-gate.held
			updates := map[string]func(*eventstream.UpdateTx) error{
				"refused": func(tx *eventstream.UpdateTx) error { return claim(tx, "ada", "2") },
				"read": func(tx *eventstream.UpdateTx) error {
					value, ok, err := tx.Records("names").Get([]byte("ada"))
					if err == nil && (!ok || string(value) != "1") {
						err = fmt.Errorf("got %q, %v", value, ok)
					}
					return err
				},
				"overtaken": func(tx *eventstream.UpdateTx) error {
					_, _, err := tx.Records("names").Get([]byte("ada"))
					return errors.Join(err, tx.Append("other", eventstream.NoStream, event("X")))
				},
			}
			answers, inside := map[string]chan error{}, make(chan struct{}, len(updates))
			for name, fn := range updates {
				answer := make(chan error, 1)
				answers[name] = answer
				go func() {
					_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
						err := fn(tx)
						inside <- struct{}{} // it has read what it rests on
						return err
					})
					answer <- err
				}()
			}
			for range updates {
				<-inside
			}
			for name, fn := range updates {
				impatient, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				_, err := db.Update(impatient, fn)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, eventstream.ErrConflict) || errors.Is(err, errTaken) {
					t.Errorf("%s, with a deadline before the sync: got %v, want the deadline alone", name, err)
				}
				if len(answers[name]) > 0 {
					t.Errorf("%s: it was answered before the sync", name)
				}
			}
			if !fails {
				gate.open(nil)
				for name, err := range map[string]error{"first": <-first, "read": <-answers["read"]} {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if err := <-answers["refused"]; !errors.Is(err, errTaken) {
					t.Errorf("refused: got %v", err)
				}
				wantErr(t, <-answers["overtaken"], eventstream.ErrConflict)
				return
			}
			gate.open(syscall.EIO)
			wantErr(t, <-first, eventstream.ErrPoisoned)
			for _, answer := range answers {
				wantErr(t, <-answer, eventstream.ErrPoisoned)
			}
		})
	}
}

// Updates and projections keep out of each other's names, also after a restart.
func TestANamespaceHasOneKindOfWriter(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	put(t, defaultTenant(db.DB), balances, "a=1")
	_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error { return claim(tx, "ada", "1") })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
			return errors.Join(tx.Records(balances.Projection).Put([]byte("a"), []byte("2")), tx.Append("x", eventstream.NoStream, event("X")))
		})
		wantErr(t, err, eventstream.ErrInvalidArgument)
		names := eventstream.ViewID{Projection: "names", Generation: 1}
		err = db.Derive(eventstream.Derivation{View: names}, func(tx *eventstream.Tx) error { return tx.Put([]byte("ada"), nil) })
		wantErr(t, err, eventstream.ErrInvalidArgument)
		err = db.ReadView(names, func(*eventstream.ViewReader) error { return nil })
		wantErr(t, err, eventstream.ErrInvalidArgument)
		equalSlices(t, "view", viewOf(t, defaultTenant(db.DB), balances, nil, nil), []string{"a=1"})
		equalSlices(t, "records", recordsOf(t, defaultTenant(db.DB), "names"), []string{"ada=1"})
		put(t, defaultTenant(db.DB), balances, "a=1")
		if err := db.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		db = estest.Crash(t, db)
	}
	if _, err := db.Tenant("acme").Update(ctx, func(tx *eventstream.UpdateTx) error {
		return errors.Join(tx.Records(balances.Projection).Put([]byte("a"), nil), tx.Append("x", eventstream.NoStream, event("X")))
	}); err != nil {
		t.Errorf("another tenant's name: %v", err)
	}
}

func TestAnUpdateThatIsRefusedWritesNothing(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	refusal := errors.New("no")
	good := func(tx *eventstream.UpdateTx) error {
		return errors.Join(tx.Records("n").Put([]byte("k"), nil), tx.Append("s", eventstream.NoStream, event("X")))
	}
	for _, tt := range []struct {
		name string
		fn   func(tx *eventstream.UpdateTx) error
		want error
	}{
		{"fn fails", func(tx *eventstream.UpdateTx) error { return errors.Join(good(tx), refusal) }, refusal},
		{"records without an event", func(tx *eventstream.UpdateTx) error { return tx.Records("n").Put([]byte("k"), nil) }, eventstream.ErrInvalidArgument},
		{"records and a stream that is only checked", func(tx *eventstream.UpdateTx) error {
			return errors.Join(tx.Records("n").Put([]byte("k"), nil), tx.Append("s", eventstream.NoStream))
		}, eventstream.ErrInvalidArgument},
		{"any version, and nobody looked", func(tx *eventstream.UpdateTx) error {
			_ = tx.Append("t", eventstream.Any, event("X"))
			return good(tx)
		}, eventstream.ErrInvalidArgument},
		{"a stream twice", func(tx *eventstream.UpdateTx) error { return errors.Join(good(tx), good(tx)) }, eventstream.ErrInvalidArgument},
		{"a stream that is not as expected", func(tx *eventstream.UpdateTx) error {
			return errors.Join(good(tx), tx.Append("t", eventstream.StreamExists, event("X")))
		}, eventstream.ErrConflict},
		{"an empty key", func(tx *eventstream.UpdateTx) error { _ = tx.Records("n").Put(nil, nil); return good(tx) }, eventstream.ErrInvalidArgument},
		{"a key too long", func(tx *eventstream.UpdateTx) error {
			_ = tx.Records("n").Delete(make([]byte, 64<<10+1))
			return good(tx)
		}, eventstream.ErrTooLarge},
		{"a value too long", func(tx *eventstream.UpdateTx) error {
			_ = tx.Records("n").Put([]byte("k"), make([]byte, 16<<20+1))
			return good(tx)
		}, eventstream.ErrTooLarge},
		{"more than an append may hold", func(tx *eventstream.UpdateTx) error {
			return errors.Join(tx.Records("n").Put([]byte("l"), make([]byte, 8<<20)), good(tx))
		}, eventstream.ErrTooLarge},
		{"no namespace", func(tx *eventstream.UpdateTx) error { _ = tx.Records("").Put([]byte("k"), nil); return good(tx) }, eventstream.ErrInvalidArgument},
	} {
		_, err := db.Update(ctx, tt.fn)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		equal(t, tt.name+": head", db.Head(), 0)
		equal(t, tt.name+": records", len(recordsOf(t, defaultTenant(db.DB), "n")), 0)
	}
	if _, err := db.Tenant("\x00").Update(ctx, good); !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("a tenant without a name: got %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := db.Update(ended, good); !errors.Is(err, context.Canceled) {
		t.Errorf("a ctx that has ended: got %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = db.Update(ctx, func(tx *eventstream.UpdateTx) error { _ = good(tx); panic("in fn") })
	}()
	equal(t, "after a panic: head", db.Head(), 0)
	if _, err := db.Update(ctx, good); err != nil { // nothing of it all is left behind
		t.Error(err)
	}
	mustClose(t, db.DB)
	if _, err := db.Update(ctx, good); !errors.Is(err, eventstream.ErrClosed) {
		t.Errorf("after Close: got %v", err)
	}
}

// The same update with the same event ids is written once; a read needs no writing.
func TestAnUpdateThatIsSentAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, dir, nil)
	send := func(value string) (eventstream.CommitResult, error) {
		return db.Update(ctx, func(tx *eventstream.UpdateTx) error {
			return errors.Join(tx.Records("n").Put([]byte("k"), []byte(value)), tx.Append("s", eventstream.NoStream, withID(id(1), "X")))
		})
	}
	for i, value := range []string{"first", "second"} {
		res, err := send(value)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "deduplicated", res.Deduplicated, i > 0)
		equal(t, "position", res.LastPosition, 1)
		equalSlices(t, "records", recordsOf(t, defaultTenant(db), "n"), []string{"k=first"})
	}
	mustClose(t, db)
	db = mustOpen(t, dir, &eventstream.Options{ReadOnly: true})
	equalSlices(t, "read-only", recordsOf(t, defaultTenant(db), "n"), []string{"k=first"})
	_, err := send("third")
	wantErr(t, err, eventstream.ErrReadOnly)
}

// Records read as an ordered map does, with what the update wrote on top, whatever the
// order of the calls.
func TestRecordsReadAsAMap(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(8, 0))
	key := func() string { return string(byte('a' + rng.IntN(8))) }
	model := map[string]string{}
	list := func(from, to string) (all []string) {
		for _, k := range slices.Sorted(maps.Keys(model)) {
			if k >= from && k < to {
				all = append(all, k+"="+model[k])
			}
		}
		return all
	}
	for round := range 200 {
		_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
			r := tx.Records("n")
			for range rng.IntN(8) {
				switch k := key(); rng.IntN(3) {
				case 0:
					model[k] = fmt.Sprint(rng.IntN(100))[rng.IntN(2):] // an empty value is a value too
					if err := r.Put([]byte(k), []byte(model[k])); err != nil {
						return err
					}
				case 1:
					delete(model, k)
					if err := r.Delete([]byte(k)); err != nil {
						return err
					}
				default:
					value, ok, err := r.Get([]byte(k))
					want, has := model[k]
					if err != nil || ok != has || string(value) != want {
						t.Errorf("round %d: %s is %q, %v, %v, want %q", round, k, value, ok, err, want)
					}
				}
				from, to := key(), key()
				equalSlices(t, fmt.Sprintf("round %d: from %s to %s", round, from, to), scanned(t, r.Scan([]byte(from), []byte(to))), list(from, to))
			}
			return tx.Append("s", expectAt(round), event("X"))
		})
		if err != nil {
			t.Fatal(err)
		}
		equalSlices(t, fmt.Sprintf("after round %d", round), recordsOf(t, defaultTenant(db.DB), "n"), list("", "z"))
	}
}

// A scan shows the records as they were when it began, those of the update itself too.
func TestAScanDoesNotSeeWhatIsWrittenDuringIt(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	put := func(r *eventstream.Records, keys ...string) error {
		for _, k := range keys {
			if err := r.Put([]byte(k), []byte("old")); err != nil {
				return err
			}
		}
		return nil
	}
	_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
		return errors.Join(put(tx.Records("n"), "a", "d"), tx.Append("s", eventstream.NoStream, event("X")))
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Update(ctx, func(tx *eventstream.UpdateTx) error {
		r := tx.Records("n")
		if err := put(r, "b", "c"); err != nil {
			return err
		}
		var seen []string
		for record, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			seen = append(seen, string(record.Key)+"="+string(record.Value))
			if string(record.Key) == "a" {
				err := errors.Join(r.Put([]byte("b"), []byte("new")), r.Delete([]byte("c")), r.Delete([]byte("d")), r.Put([]byte("e"), nil))
				if err != nil {
					return err
				}
			}
		}
		equalSlices(t, "during", seen, []string{"a=old", "b=old", "c=old", "d=old"})
		equalSlices(t, "after", scanned(t, r.Scan(nil, nil)), []string{"a=old", "b=new", "e="})
		return tx.Append("s", expectAt(1), event("X"))
	})
	if err != nil {
		t.Fatal(err)
	}
}
