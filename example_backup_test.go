package eventstream_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/nexus-erp/eventstream"
)

func ExampleDB_Backup() {
	ctx := context.Background()
	db, done := openExample(nil)
	defer done()
	dir, err := os.MkdirTemp("", "backups-*")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	for _, text := range []string{"Till 1", "Till 2", "posted by mistake"} {
		if _, err := db.Append(ctx, "finance-account-1000", eventstream.Any, eventstream.NewEvent{Type: "Posted", Data: Posted{Debit: 11900, Text: text}}); err != nil {
			log.Fatal(err)
		}
	}
	// Appends may go on meanwhile. Keep it on another disk.
	backup, err := db.Backup(ctx, filepath.Join(dir, "monday"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("backed up and checked:", backup.Events, "events")

	restored, err := eventstream.Restore(ctx, backup.Path, filepath.Join(dir, "books"), &eventstream.RestoreOptions{AsOfPosition: 2})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("restored as of position", restored.Head, "of", restored.BackupHead)
	// Output:
	// backed up and checked: 3 events
	// restored as of position 2 of 3
}
