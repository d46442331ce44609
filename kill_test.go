package eventstream_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// victimRole is a child that appends until somebody kills it.
const victimRole = "victim"

type victimTask struct {
	Dir  string
	Pace time.Duration // between the commits of a writer; 0: none
}

// victimLine is a commit that was acknowledged, or, with a writer below 0, the opened
// store and what its process holds by now.
type victimLine struct {
	Writer   int
	Number   int
	Position eventstream.Position // of its first event

	Goroutines, Files int
	HeapBytes         uint64
}

const (
	victimWriters  = 4
	victimNotes    = "victims"
	victimSomeData = 200 // bytes
)

func victimOptions(fs vfs.FS) *eventstream.Options {
	return &eventstream.Options{
		FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20, TailBytes: 64 << 10,
		Unstable: eventstream.Unstable{RunEvents: 64},
	}
}

func victimStream(writer int) eventstream.StreamID {
	return eventstream.StreamID(fmt.Sprintf("w-w-%d", writer))
}

// victimKind is what the n-th commit of a writer is: an append, one over two streams, an
// update with a record, or one large enough to fill the log.
func victimKind(number int) string {
	switch number % 8 {
	case 3:
		return "both"
	case 5:
		return "update"
	case 7:
		return "large"
	default:
		return "plain"
	}
}

// victimEvent is the event of that commit: all of it follows from who wrote it.
func victimEvent(writer, number int) eventstream.NewEvent {
	size := victimSomeData
	if victimKind(number) == "large" {
		size = 20 << 10
	}
	data := bytes.Repeat(fmt.Appendf(nil, "%d:%d;", writer, number), size/8)
	return eventstream.NewEvent{
		ID: eventstream.EventID{0: 2, 1: byte(writer), 13: byte(number >> 16), 14: byte(number >> 8), 15: byte(number)}, Type: "Kind-" + victimKind(number),
		Codec: codec.Raw, Data: codec.Encoded(data), UserID: "victim",
	}
}

// victimCommit makes the n-th commit of a writer, counted from 1.
func victimCommit(db *eventstream.DB, writer, number int) (eventstream.Position, error) {
	stream, e, expect := victimStream(writer), victimEvent(writer, number), expectAt(number-1)
	switch victimKind(number) {
	case "both":
		other := e
		other.ID[0] = 3
		res, err := db.AppendAll(ctx, []eventstream.StreamAppend{
			{Stream: stream, Expect: expect, Events: []eventstream.NewEvent{e}},
			{Stream: stream + "-other", Expect: eventstream.Any, Events: []eventstream.NewEvent{other}},
		})
		return res.FirstPosition, err
	case "update":
		res, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
			return errors.Join(tx.Records(victimNotes).Put(fmt.Appendf(nil, "%d:%06d", writer, number), e.ID[:]), tx.Append(stream, expect, e))
		})
		return res.FirstPosition, err
	default:
		res, err := db.Append(ctx, stream, expect, e)
		return res.FirstPosition, err
	}
}

func victimChild(task victimTask) error {
	db, err := eventstream.Open(task.Dir, victimOptions(nil))
	if err != nil {
		return err
	}
	if err := say(victimLine{Writer: -1}); err != nil {
		return err
	}
	if task.Pace > 0 {
		go reportHoldings()
	}
	var wg sync.WaitGroup
	errs := make([]error, victimWriters)
	for w := range victimWriters {
		wg.Go(func() {
			var last eventstream.Version
			switch info, err := db.Stream(ctx, victimStream(w)); {
			case err == nil:
				last = info.Version
			case !errors.Is(err, eventstream.ErrStreamNotFound):
				errs[w] = err
				return
			}
			for number := int(last) + 1; errs[w] == nil; number++ {
				if task.Pace > 0 {
					<-time.After(task.Pace)
				}
				position, err := victimCommit(db, w, number)
				if err == nil {
					err = say(victimLine{Writer: w, Number: number, Position: position})
				}
				errs[w] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// victimOracle knows what a store must hold. It lives in the process that kills.
type victimOracle struct {
	mu    sync.Mutex
	acked [victimWriters]map[int]eventstream.Position // the position of each number that was acknowledged
}

func newVictimOracle() *victimOracle {
	o := &victimOracle{}
	for w := range o.acked {
		o.acked[w] = map[int]eventstream.Position{}
	}
	return o
}

func (o *victimOracle) hear(line victimLine) {
	if line.Writer < 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked[line.Writer][line.Number] = line.Position
}

// verify opens the store that a killed process left, and holds it to what was
// acknowledged: all of that is there, in its place, commits and records whole, and at
// most one more commit a writer and kill, which nobody had acknowledged.
func (o *victimOracle) verify(t *testing.T, what, dir string) {
	t.Helper()
	db, err := eventstream.Open(dir, victimOptions(nil))
	if err != nil {
		t.Errorf("%s: open: %v", what, err)
		return
	}
	defer mustClose(t, db)
	var numbers, both, others, updates, unknown [victimWriters]int
	next := eventstream.Position(1)
	for e, err := range db.ReadAll(ctx) {
		if err != nil {
			t.Errorf("%s: read: %v", what, err)
			return
		}
		if e.Position != next {
			t.Errorf("%s: position %d where %d should follow", what, e.Position, next)
			return
		}
		next++
		writer := int(e.ID[1])
		if e.ID[0] == 3 {
			others[writer]++
			continue
		}
		numbers[writer]++
		number := numbers[writer]
		if want := victimEvent(writer, number); e.ID != want.ID || e.Type != want.Type || !bytes.Equal(e.Data, want.Data.(codec.Encoded)) {
			t.Errorf("%s: position %d is not commit %d of writer %d, as it was written", what, e.Position, number, writer)
			return
		}
		switch victimKind(number) {
		case "both":
			both[writer]++
		case "update":
			updates[writer]++
		}
		switch acked, ok := o.acked[writer][number]; {
		case !ok:
			unknown[writer]++
		case acked != e.Position:
			t.Errorf("%s: commit %d of writer %d is at position %d, acknowledged was %d", what, number, writer, e.Position, acked)
		}
		o.acked[writer][number] = e.Position // the next process goes on behind it
	}
	for w := range victimWriters {
		if acked := len(o.acked[w]); numbers[w] != acked {
			t.Errorf("%s: writer %d has %d commits, acknowledged were %d", what, w, numbers[w], acked)
		}
		if unknown[w] > 1 {
			t.Errorf("%s: writer %d has %d commits that were never acknowledged, but makes one at a time", what, w, unknown[w])
		}
		if both[w] != others[w] {
			t.Errorf("%s: writer %d has %d commits over two streams, and %d events in the other stream", what, w, both[w], others[w])
		}
		records := 0
		for _, r := range recordsOf(t, defaultTenant(db), victimNotes) {
			if r[0] == byte('0'+w) {
				records++
			}
		}
		if records != updates[w] {
			t.Errorf("%s: writer %d has %d updates and %d records", what, w, updates[w], records)
		}
	}
	if report, err := db.Check(ctx, eventstream.Deep()); err != nil || !report.OK() {
		t.Errorf("%s: check: %+v, %v", what, report, err)
	}
}

// killVictim lets a child append and kills it after a while: counted from when it has
// opened the store, or from its start, so that it is hit while it recovers.
func killVictim(task victimTask, afterOpen bool, after time.Duration, hear func(victimLine)) (opened bool, err error) {
	child, err := newChild(ctx, victimRole, task)
	if err != nil {
		return false, err
	}
	var stderr bytes.Buffer
	child.Stderr = &stderr
	stdout, err := child.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := child.Start(); err != nil {
		return false, err
	}
	var once sync.Once
	var kill *time.Timer
	arm := func() {
		once.Do(func() { kill = time.AfterFunc(after, func() { _ = child.Process.Kill() }) })
	}
	if !afterOpen {
		arm()
	}
	// What the child could not say to its end was not acknowledged.
	heardErr := listen(stdout, func(line json.RawMessage) {
		var l victimLine
		if json.Unmarshal(line, &l) == nil {
			opened = true
			arm()
			hear(l)
		}
	})
	err = child.Wait()
	if kill != nil {
		kill.Stop()
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return opened, fmt.Errorf("the child ended by itself: %w\n%s", errors.Join(err, heardErr), &stderr)
	}
	return opened, nil
}

// A process that appends from four goroutines is killed at a random moment, again and
// again, on the same store: while it opens it, at its first commits, after many. What was
// acknowledged is there; so it goes on.
func TestAKilledProcessLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	rounds := campaign.Scale(t, campaign.Cases{Short: 6, PullRequest: 80, Nightly: 2_000})
	const (
		stores    = 4  // at a time
		roundsOne = 10 // on one store: then it is large enough
	)
	seed := campaign.Seed(t)
	var mu sync.Mutex
	left, killed, early := rounds, 0, 0
	var wg sync.WaitGroup
	for s := range stores {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(s)))
			for store := 0; ; store++ {
				dir := filepath.Join(campaign.QuickDir(t), "store")
				o := newVictimOracle()
				for round := range roundsOne {
					mu.Lock()
					left--
					over := left < 0
					mu.Unlock()
					if over || t.Failed() {
						return
					}
					afterOpen := rng.IntN(4) != 0
					after := time.Duration(5+rng.IntN(150)) * time.Millisecond
					if !afterOpen {
						after = time.Duration(5+rng.IntN(40)) * time.Millisecond
					}
					what := fmt.Sprintf("store %d of %d, round %d, -seed %d", store, s, round, seed)
					opened, err := killVictim(victimTask{Dir: dir}, afterOpen, after, o.hear)
					if err != nil {
						t.Errorf("%s: %v", what, err)
						return
					}
					o.verify(t, what, dir)
					mu.Lock()
					killed++
					if !opened {
						early++
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	campaign.Count(t, campaign.KillRounds, killed)
	t.Logf("%d of them before the store was open", early)
	if killed < rounds {
		t.Errorf("%d processes were killed, want %d", killed, rounds)
	}
}
