package model_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// failer is what tests and those of rapid have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// verify fails unless the store keeps every invariant, and settles what was in doubt.
func verify(t failer, what string, db *eventstream.DB, oracle *model.Store) {
	t.Helper()
	seen := model.Look(ctx, db, oracle)
	if report := oracle.Judge(seen); !report.OK() {
		t.Fatalf("%s: %s", what, report)
	}
	oracle.Settle(seen)
}

// appendTo makes the call that an append stands for, by whatever way takes it.
func appendTo(db *eventstream.DB, a model.Append) (eventstream.CommitResult, error) {
	tenant := db.Tenant(a.Tenant)
	switch {
	case len(a.Records) > 0:
		return tenant.Update(ctx, func(tx *eventstream.UpdateTx) error {
			for _, r := range a.Records {
				write := func() error { return tx.Records(r.Namespace).Put([]byte(r.Key), r.Value) }
				if r.Value == nil {
					write = func() error { return tx.Records(r.Namespace).Delete([]byte(r.Key)) }
				}
				if err := write(); err != nil {
					return err
				}
			}
			for _, e := range a.Entries {
				if err := tx.Append(e.Stream, e.Expect, e.Events...); err != nil {
					return err
				}
			}
			return nil
		})
	case a.Unless != nil:
		return tenant.AppendIf(ctx, eventstream.Condition{Query: a.Unless.Build(), After: a.After}, a.Entries)
	case len(a.Entries) == 1:
		res, err := tenant.Append(ctx, a.Entries[0].Stream, a.Entries[0].Expect, a.Entries[0].Events...)
		if err != nil {
			return eventstream.CommitResult{}, err
		}
		return eventstream.CommitResult{
			Streams: []eventstream.AppendResult{res}, FirstPosition: res.FirstPosition, LastPosition: res.LastPosition,
			RecordedAt: res.RecordedAt, Deduplicated: res.Deduplicated,
		}, nil
	default:
		return tenant.AppendAll(ctx, a.Entries)
	}
}

// withoutManifest reports whether a crash kept the marker that names Pebble's new
// manifest, and not the manifest itself, so that the store says so and does not open.
func withoutManifest(fs vfs.FS, dir string, err error) bool {
	names, listErr := fs.List(fs.PathJoin(dir, "db"))
	if listErr != nil || errors.Is(err, eventstream.ErrInUse) {
		return false
	}
	newest, manifest := "", ""
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, "marker.manifest."); ok && rest > newest {
			newest = rest
			_, manifest, _ = strings.Cut(rest, ".") // behind the marker's own number
		}
	}
	return manifest != "" && !slices.Contains(names, manifest) && strings.Contains(err.Error(), manifest)
}
