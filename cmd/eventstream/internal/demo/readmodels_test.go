package demo

import (
	"context"
	"maps"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/decimal"
)

// The read models show what reading the log gives, and the comparison sees a difference.
func TestReadModelsShowWhatTheLogSays(t *testing.T) {
	t.Parallel()
	plan := shortPlan(60)
	b := newBooks(t, plan)
	var half eventstream.Position
	for i := range plan.Entries {
		res, err := b.append(t.Context(), &plan.Entries[i])
		if err != nil {
			t.Fatal(err)
		}
		if i == 30 {
			half = res.LastPosition
		}
	}
	err := b.project(t.Context(), func(ctx context.Context, e *projection.Engine) error {
		if err := waitForBoth(ctx, e, b.db.Head()); err != nil {
			return err
		}
		for _, name := range []string{trialBalance, onHand} {
			found, err := readShown(e, name)
			if err != nil {
				return err
			}
			whole, err := b.foldShown(ctx, name, b.db.Head())
			if err != nil {
				return err
			}
			part, err := b.foldShown(ctx, name, half)
			if err != nil {
				return err
			}
			if found.at != b.db.Head() || !maps.Equal(found.lines, whole.lines) || found.cents != whole.cents || len(found.lines) == 0 {
				t.Errorf("%s: got %+v, want %+v", name, found, whole)
			}
			if maps.Equal(found.lines, part.lines) {
				t.Errorf("%s at the end is the same as at position %d: the comparison shows nothing", name, half)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAmountsAreInWholeCents(t *testing.T) {
	t.Parallel()
	if n, err := cents(decimal.New(-12345, 3).Add(decimal.New(5, 3))); err != nil || n != -1234 {
		t.Errorf("cents(-12.340) = %d, %v, want -1234", n, err)
	}
	if n, err := cents(decimal.New(12345, 3)); err == nil {
		t.Errorf("cents(12.345) = %d, want an error", n)
	}
}
