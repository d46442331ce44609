package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
)

// The audit screen: what a clerk posted over a limit, page by page. What is posted while the
// auditor turns pages is in none of them.
func ExampleDB_QueryPage() {
	ctx := context.Background()
	db, err := eventstream.Open("books", &eventstream.Options{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	post := func(cents int) {
		_, err := db.Append(ctx, "finance-account-1000", eventstream.Any, eventstream.NewEvent{
			Type: "Posted", UserID: "clerk-7", Data: map[string]any{"cents": cents},
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	for _, cents := range []int{900, 120_000, 300, 250_000, 99_000} {
		post(cents)
	}

	large := eventstream.Query{}.Types("Posted").Users("clerk-7").Where("data.cents", eventstream.Greater, 50_000)
	next := ""
	for {
		page, err := db.QueryPage(ctx, large, eventstream.PageOptions{Size: 2, Cursor: next})
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range page.Events {
			fmt.Println("position", e.Position)
		}
		post(700_000)
		if next = page.Next; next == "" {
			break
		}
		fmt.Println("next page")
	}
	// Output:
	// position 2
	// position 4
	// next page
	// position 5
}

// An invoice number is new if no event has it: two tills that use it at once, in streams of
// their own, do not both succeed.
func ExampleDB_AppendIf() {
	ctx := context.Background()
	db, err := eventstream.Open("books", &eventstream.Options{
		FS: vfs.NewMem(), Indexes: append(eventstream.DefaultIndexes(), eventstream.IndexTag),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	issue := func(till eventstream.StreamID, number string) error {
		unused := eventstream.Condition{Query: eventstream.Query{}.Types("InvoiceIssued").Tag("invoice", number)}
		_, err := db.AppendIf(ctx, unused, []eventstream.StreamAppend{{
			Stream: till, Expect: eventstream.Any,
			Events: []eventstream.NewEvent{{Type: "InvoiceIssued", Metadata: map[string]string{"invoice": number}}},
		}})
		return err
	}
	fmt.Println(issue("sales-till-1", "2026-0001"))
	fmt.Println(errors.Is(issue("sales-till-2", "2026-0001"), eventstream.ErrConflict))
	// Output:
	// <nil>
	// true
}
