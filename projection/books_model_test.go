package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/projection"
)

// booksModel does things with the books in a random order, and knows what is parked in
// which generation, and what was done about it.
type booksModel struct {
	t    *testing.T
	rng  *rand.Rand
	db   *estest.DB
	b    books
	e    *projection.Engine
	done []string
}

func (m *booksModel) reopened() {
	m.e = m.b.engine(m.t, m.db.DB, "engine")
}

// step does one thing with one of the views, and says what.
func (m *booksModel) step() (what string, err error) {
	ctx := context.Background()
	name := []string{"sums", "kept"}[m.rng.IntN(2)]
	before, err := m.e.Status(ctx, name)
	if err != nil {
		return "status", err
	}
	switch m.rng.IntN(12) {
	case 0, 1, 2:
		return "enter", enterInto(m.db.DB, m.db.Clock, m.rng, 1+m.rng.IntN(6))
	case 3, 4:
		return "catch up", m.b.until(ctx, m.db.DB, m.e)
	case 5, 6:
		return m.settle(name, before.Generation)
	case 7:
		workers := 1
		if name == "sums" {
			workers += m.rng.IntN(3)
		}
		what = fmt.Sprintf("rebuild %s by %d", name, workers)
		if err := m.e.Rebuild(ctx, name, projection.RebuildOptions{Workers: workers, StartOver: m.rng.IntN(2) == 0}); err != nil {
			return what, err
		}
		return what, m.live(name, func(s projection.Status) bool {
			return s.Generation > before.Generation && s.Retired == before.Generation
		})
	case 8:
		what = "switch back " + name
		err := m.e.SwitchBack(ctx, name)
		if before.Retired == 0 {
			if !errors.Is(err, projection.ErrNoRetired) {
				return what, fmt.Errorf("got error %w, want that there is none", err)
			}
			return what + ", which there is not", nil
		}
		if err != nil {
			return what, err
		}
		return what, m.live(name, func(s projection.Status) bool {
			return s.Generation == before.Retired && s.Retired == before.Generation
		})
	case 9:
		what = "drop of " + name
		err := m.e.Drop(ctx, name, before.Retired)
		if before.Retired == 0 {
			if !errors.Is(err, eventstream.ErrInvalidArgument) {
				return what, fmt.Errorf("got error %w, want that there is none", err)
			}
			return what + ", of which there is none", nil
		}
		if err != nil {
			return what, err
		}
		return what, m.live(name, func(s projection.Status) bool { return s.Generation == before.Generation && s.Retired == 0 })
	case 10:
		if m.rng.IntN(2) == 0 {
			return "reset " + name, m.reset(name, before)
		}
		fallthrough
	default:
		m.db = estest.Crash(m.t, m.db)
		m.reopened()
		return "crash", nil
	}
}

// live checks the generations of a view.
func (m *booksModel) live(name string, want func(projection.Status) bool) error {
	s, err := m.e.Status(context.Background(), name)
	if err == nil && (!want(s) || s.Rebuild != nil) {
		err = fmt.Errorf("the status is %+v", s)
	}
	return err
}

func (m *booksModel) reset(name string, before projection.Status) error {
	if m.db.Head() == 0 {
		return nil // there is nobody whose view it could be
	}
	if err := m.e.Reset(context.Background(), name); err != nil {
		return err
	}
	return m.live(name, func(s projection.Status) bool {
		return s.Generation > before.Generation && s.Retired == 0 && s.Checkpoint == 0 && s.Parked == 0
	})
}

// settle applies or drops a parked event, if there is one.
func (m *booksModel) settle(name string, generation uint64) (what string, err error) {
	parked, err := m.e.Parked(name)
	if err != nil || len(parked) == 0 {
		return "nothing is parked in " + name, err
	}
	at := parked[m.rng.IntN(len(parked))].Position
	view := eventstream.ViewID{Projection: name, Generation: generation}
	if m.b.settled[view] == nil {
		m.b.settled[view] = map[eventstream.Position]string{}
	}
	if m.rng.IntN(3) == 0 {
		m.b.settled[view][at] = "dropped"
		return fmt.Sprintf("drop %d of %s", at, name), m.e.DropParked(name, at, "ada", "not needed")
	}
	if m.rng.IntN(4) == 0 { // it is not mended
		err := m.e.ApplyParked(context.Background(), name, at, "ada", "mended")
		if !errors.Is(err, errBad) {
			return "apply", fmt.Errorf("got error %w, want %w", err, errBad)
		}
		return fmt.Sprintf("apply %d of %s in vain", at, name), nil
	}
	m.b.settled[view][at] = "applied"
	m.b.mended.Store(uint64(at))
	defer m.b.mended.Store(0)
	return fmt.Sprintf("apply %d of %s", at, name), m.e.ApplyParked(context.Background(), name, at, "ada", "mended")
}

// Whatever is done with views, one thing after the other, and wherever the power fails in
// between: they are the fold of the log up to their checkpoints, without the events that
// are put aside or were dropped in that generation, as they are and as of other times.
func TestViewsFollowAModel(t *testing.T) {
	t.Parallel()
	cases := 0
	for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 2, PullRequest: 12, Nightly: 500})) {
		rng := campaign.Rand(t, seed)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &booksModel{t: t, rng: rng, db: estest.Open(t, estest.Seed(seed))}
			m.b.settled = map[eventstream.ViewID]map[eventstream.Position]string{}
			if err := enterInto(m.db.DB, m.db.Clock, rng, 1); err != nil {
				t.Fatal(err)
			}
			m.reopened()
			for range 40 {
				what, err := m.step()
				m.done = append(m.done, what)
				if err := errors.Join(err, m.b.check(m.db.DB, m.e)); err != nil {
					t.Fatalf("-seed %d: after %q: %v", seed, m.done, err)
				}
			}
			cases++
		})
	}
	campaign.Count(t, campaign.ModelCases, cases)
}
