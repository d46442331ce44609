package model_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/model"
)

// storm is one command that many senders send at once. Some of them send something else
// under the same ids.
type storm struct {
	t        *testing.T
	commands [2]model.Append // the same ids, and two contents
}

const stormSenders = 16

// stormOf makes a command over three streams, and one that differs in its first payload.
func stormOf(t *testing.T, n int) *storm {
	s := &storm{t: t}
	for content := range s.commands {
		a := model.Append{Tenant: eventstream.DefaultTenant}
		for i := range 3 {
			data := fmt.Sprint("command ", n)
			if i == 0 {
				data = fmt.Sprint(data, ", content ", content)
			}
			a.Entries = append(a.Entries, eventstream.StreamAppend{
				Stream: eventstream.StreamID(fmt.Sprintf("s-s-%d", (n+i)%4)), Expect: eventstream.Any,
				Events: []eventstream.NewEvent{{ID: eventstream.EventID{0: 1, 13: byte(i), 14: byte(n >> 8), 15: byte(n)}, Type: "X", Codec: codec.Raw, Data: codec.Encoded(data)}},
			})
		}
		s.commands[content] = a
	}
	return s
}

// stormAnswer is what one sender was told.
type stormAnswer struct {
	content int
	res     eventstream.CommitResult
	err     error
	counts  bool // it came before the power failed
}

// send has all senders send the command, every fourth one the other content.
func (s *storm) send(db *eventstream.DB, cut *atomic.Bool) []stormAnswer {
	answers := make([]stormAnswer, stormSenders)
	var ready, wg sync.WaitGroup
	ready.Add(1)
	for i := range answers {
		wg.Go(func() {
			a := &answers[i]
			a.content = min(i%4, 1)
			ready.Wait()
			a.res, a.err = appendTo(db, s.commands[a.content])
			a.counts = !cut.Load()
		})
	}
	ready.Done()
	wg.Wait()
	return answers
}

// judge fails unless one content won, once, and every sender of it was told the same.
// It returns which, or -1 if no answer counts.
func (s *storm) judge(what string, answers []stormAnswer, fresh int) (won int) {
	s.t.Helper()
	won = -1
	var first eventstream.CommitResult
	wrote := 0
	for _, a := range answers {
		switch {
		case !a.counts:
			continue
		case a.err == nil && won < 0:
			won, first = a.content, a.res
		case a.err == nil && (a.content != won || a.res.FirstPosition != first.FirstPosition || a.res.LastPosition != first.LastPosition):
			s.t.Errorf("%s: content %d got %+v, and content %d %+v", what, a.content, a.res, won, first)
		case a.err != nil && !errors.Is(a.err, eventstream.ErrDuplicateEvent):
			s.t.Errorf("%s: content %d got error %v, want an answer or ErrDuplicateEvent", what, a.content, a.err)
		}
		if a.err == nil && !a.res.Deduplicated {
			wrote++
		}
	}
	for _, a := range answers {
		if a.counts && a.err != nil && a.content == won {
			s.t.Errorf("%s: content %d won and was refused: %v", what, won, a.err)
		}
	}
	if wrote > fresh {
		s.t.Errorf("%s: %d senders wrote, want %d", what, wrote, fresh)
	}
	return won
}

// The same ids come from 16 senders at once, with two contents, and again after the power
// failed in the middle of it: one content is there once, its senders are all told the
// same, and the other one is refused.
func TestARetryStormThroughCrashes(t *testing.T) {
	t.Parallel()
	seeds := campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 10, PullRequest: 100, Nightly: 3_000}))
	var midst, lost int
	for _, seed := range seeds {
		rng := campaign.Rand(t, seed)
		survived, ok := stormThroughCrash(t, seed, rng)
		if !ok {
			lost++
		}
		if survived {
			midst++
		}
	}
	campaign.Exception(t, campaign.LostManifest, lost)
	if len(seeds) > 10 && midst < len(seeds)/20 {
		t.Errorf("in %d of %d storms a command was in doubt, want more", midst, len(seeds))
	}
}

// stormThroughCrash reports whether the power failed while nobody had an answer to the
// command that was sent.
func stormThroughCrash(t *testing.T, seed uint64, rng *rand.Rand) (doubt, ok bool) {
	mem := vfs.NewCrashableMem()
	var operations atomic.Int64
	var running, cut atomic.Bool
	var left atomic.Pointer[vfs.MemFS]
	at := 1 + rng.Int64N(12)
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[rng.IntN(3)], RNG: rand.New(rand.NewPCG(seed, 1))}
	crash := func() {
		cut.Store(true)
		left.Store(mem.CrashClone(cfg))
	}
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if running.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && operations.Add(1) == at {
			crash()
		}
		return nil
	}))
	db, err := eventstream.Open("store", historyOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	oracle := model.New()
	running.Store(true)
	var storms []*storm
	var winners []int
	for n := 0; left.Load() == nil && n < 6; n++ {
		s := stormOf(t, n)
		answers := s.send(db, &cut)
		won := s.judge(fmt.Sprintf("seed %d, storm %d", seed, n), answers, 1)
		storms, winners = append(storms, s), append(winners, won)
		if won < 0 {
			doubt = true
			oracle.Doubt(s.commands[0])
			oracle.Doubt(s.commands[1])
			break
		}
		for _, a := range answers {
			if a.counts && a.err == nil {
				oracle.Acknowledge(s.commands[won], a.res)
			}
		}
	}
	running.Store(false)
	if left.Load() == nil {
		crash()
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if db, err = eventstream.Open("store", historyOptions(left.Load())); err != nil {
		if withoutManifest(left.Load(), "store", err) {
			return false, false
		}
		t.Fatalf("seed %d: open: %v", seed, err)
	}
	oracle.Crash()
	verify(t, fmt.Sprintf("seed %d, opened again", seed), db, oracle)
	cut.Store(false)
	for n, s := range storms {
		what := fmt.Sprintf("seed %d, storm %d once more", seed, n)
		fresh := 0
		if winners[n] < 0 {
			fresh = 1 // unless it is there
		}
		answers := s.send(db, &cut)
		won := s.judge(what, answers, fresh)
		if won < 0 || winners[n] >= 0 && won != winners[n] {
			t.Errorf("%s: content %d won, and %d did before", what, won, winners[n])
			continue
		}
		for _, a := range answers {
			if a.err == nil {
				oracle.Acknowledge(s.commands[won], a.res)
			}
		}
	}
	verify(t, fmt.Sprintf("seed %d, in the end", seed), db, oracle)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	return doubt, true
}
