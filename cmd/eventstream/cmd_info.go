package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

// storeInfo is what info and init say about a store.
type storeInfo struct {
	StoreID       string               `json:"store_id"`
	Incarnation   string               `json:"incarnation"`
	Node          string               `json:"node"`
	Format        int                  `json:"format"`
	PebbleVersion string               `json:"pebble_version"`
	Durability    string               `json:"durability"`
	Head          eventstream.Position `json:"head"`
	DurableHead   eventstream.Position `json:"durable_head"`
	Streams       uint64               `json:"streams"`
	Events        uint64               `json:"events"`
	BytesOnDisk   uint64               `json:"bytes_on_disk"`
	Tenants       int                  `json:"tenants"`
	Path          string               `json:"path"`
	Indexes       []indexInfo          `json:"indexes"`
}

// indexInfo is how an index stands.
type indexInfo struct {
	Index      string               `json:"index"`
	State      string               `json:"state"` // building or ready
	Checkpoint eventstream.Position `json:"checkpoint"`
}

func indexInfos(db *eventstream.DB) []indexInfo {
	infos := []indexInfo{}
	for _, i := range db.Indexes() {
		state := "building"
		if i.Ready {
			state = "ready"
		}
		infos = append(infos, indexInfo{string(i.Index), state, i.Checkpoint})
	}
	return infos
}

func newInfoCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Say what store this is and how much is in it",
		Long:  `info describes the whole store: streams and events are those of all tenants.`,
		Args:  cobra.NoArgs,
	}
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withTenant(cmd, env, readAccess, func(db *eventstream.DB, _ *eventstream.Tenant) error {
			info, err := readInfo(cmd.Context(), db)
			if err != nil {
				return err
			}
			return out.record(info)
		})
	}
	return cmd
}

func readInfo(ctx context.Context, db *eventstream.DB) (storeInfo, error) {
	i := db.Info()
	usage, err := db.Stats()
	if err != nil {
		return storeInfo{}, err
	}
	info := storeInfo{
		StoreID: i.StoreID.String(), Incarnation: i.Incarnation.String(), Node: i.Node, Format: i.Format, PebbleVersion: i.PebbleVersion,
		Durability: i.Durability.String(), Head: i.Head, DurableHead: i.DurableHead,
		Events:      uint64(i.Head), // positions have no gaps
		BytesOnDisk: usage.BytesOnDisk,
		Path:        i.Path,
		Indexes:     indexInfos(db),
	}
	info.Tenants, info.Streams, err = countStreams(ctx, db)
	return info, err
}

// countStreams counts tenants and the streams of all of them.
func countStreams(ctx context.Context, db *eventstream.DB) (tenants int, streams uint64, err error) {
	names := db.Tenants()
	for _, name := range names {
		for _, err := range db.Tenant(name).Streams(ctx, "") {
			if err != nil {
				return 0, 0, err
			}
			streams++
		}
	}
	return len(names), streams, nil
}
