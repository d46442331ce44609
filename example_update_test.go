package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
)

// An invoice number is used once, whoever asks for it at the same time: the claim and the
// invoice are one commit.
func ExampleDB_Update() {
	ctx := context.Background()
	db, err := eventstream.Open("books", &eventstream.Options{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()

	errUsed := errors.New("the number is used")
	issue := func(number string, invoice eventstream.StreamID) error {
		return eventstream.RetryOnConflict(ctx, func() error {
			_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
				numbers := tx.Records("invoice-numbers")
				_, used, err := numbers.Get([]byte(number))
				if err != nil {
					return err
				}
				if used {
					return errUsed
				}
				if err := numbers.Put([]byte(number), []byte(invoice)); err != nil {
					return err
				}
				return tx.Append(invoice, eventstream.NoStream, eventstream.NewEvent{Type: "InvoiceIssued", Data: map[string]any{"number": number}})
			})
			return err
		})
	}
	fmt.Println(issue("2026-0001", "sales-invoice-a"))
	fmt.Println(issue("2026-0001", "sales-invoice-b"))
	// Output:
	// <nil>
	// the number is used
}
