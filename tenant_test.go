package eventstream_test

import (
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
)

func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	names := []string{"acme", "acme2", "a", "ACME", "\u00ff", "default-2"}
	for i, name := range names {
		for range i + 1 {
			mustAppend(t, db.Tenant(name), "s", eventstream.Any, event("X"))
		}
	}
	check := func(db *estest.DB) {
		for i, name := range names {
			tenant := db.Tenant(name)
			equal(t, name+": stream", len(mustCollect(t, tenant.ReadStream(ctx, "s"))), i+1)
			all := mustCollect(t, tenant.ReadAll(ctx))
			equal(t, name+": all", len(all), i+1)
			equal(t, name+": backward", len(mustCollect(t, tenant.ReadAll(ctx, eventstream.Backward()))), i+1)
			equal(t, name+": follow", len(mustCollect(t, tenant.Follow(ctx, eventstream.Limit(i+1)))), i+1)
			equal(t, name+": streams", len(mustCollect(t, tenant.Streams(ctx, ""))), 1)
			for _, e := range all {
				equal(t, name+": tenant of event", e.Tenant, name)
			}
		}
		equal(t, "default tenant", len(mustCollect(t, db.ReadAll(ctx))), 0)
		equal(t, "unknown tenant", len(mustCollect(t, db.Tenant("nobody").Streams(ctx, ""))), 0)
		equalSlices(t, "tenants", db.Tenants(), []string{"ACME", "a", "acme", "acme2", "default-2", "\u00ff"})
	}
	check(db)
	db = estest.Crash(t, db)
	check(db)
	// Reading does not make a tenant.
	equal(t, "tenants after reads", len(db.Tenants()), len(names))
}

func TestTheDefaultTenantIsTheStoreItself(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db.Tenant(eventstream.DefaultTenant), "s", eventstream.NoStream, event("X"))
	equal(t, "events", len(mustCollect(t, db.ReadStream(ctx, "s"))), 1)
}
