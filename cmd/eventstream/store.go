package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

// access is what a command will do with the store that it opens.
type access int

const (
	readAccess  access = 1
	writeAccess access = 2
)

// openStore opens the store that --dir or EVENTSTREAM_DIR names. It never creates
// one: a directory mistyped must not become an empty store.
func openStore(cmd *cobra.Command, env *environment, mode access) (*eventstream.DB, error) {
	dir, err := storeDir(cmd, env)
	if err != nil {
		return nil, err
	}
	return eventstream.Open(dir, &eventstream.Options{
		ReadOnly:         mode == readAccess,
		ErrorIfNotExists: true,
		Clock:            env.now,
	})
}

// storeDir is the directory that --dir or EVENTSTREAM_DIR names.
func storeDir(cmd *cobra.Command, env *environment) (string, error) {
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return "", err
	}
	if dir == "" {
		dir = env.getenv("EVENTSTREAM_DIR")
	}
	if dir == "" {
		return "", &usageError{
			reason: "which store is meant: no --dir and no EVENTSTREAM_DIR",
			hint:   "give --dir DIR, or create a store with: eventstream init DIR",
		}
	}
	return dir, nil
}

// withTenant opens the store, calls fn with the tenant that --tenant names, and
// closes the store.
func withTenant(cmd *cobra.Command, env *environment, mode access, fn func(*eventstream.DB, *eventstream.Tenant) error) (err error) {
	name, err := cmd.Flags().GetString("tenant")
	if err != nil {
		return err
	}
	db, err := openStore(cmd, env, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return fn(db, db.Tenant(name))
}
