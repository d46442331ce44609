package eventstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	for _, o := range []*Options{{FS: vfs.NewMem()}, {}} {
		dir := "store"
		if o.FS == nil {
			dir = t.TempDir() + "/s"
		}
		db, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		res, err := db.Append(ctx, "a-b-1", NoStream, NewEvent{Type: "X", Data: map[string]any{"n": 1}}, NewEvent{Type: "Y"})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%+v\n", res)
		_, err = db.Append(ctx, "a-b-1", NoStream, NewEvent{Type: "X"})
		var c *ConflictError
		if !errors.As(err, &c) {
			t.Fatal(err)
		}
		fmt.Println(err)
		r2, err := db.Tenant("acme").Append(ctx, "a-b-1", NoStream, NewEvent{Type: "X", ID: res.EventIDs[0]})
		fmt.Println(r2, err)
		r3, err := db.Tenant("acme").Append(ctx, "a-b-1", NoStream, NewEvent{Type: "X", ID: res.EventIDs[0]})
		fmt.Println(r3, err)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := range 200 {
					if _, err := db.Append(ctx, StreamID(fmt.Sprintf("w-w-%d", w)), Exact(Version(i)), NewEvent{Type: "T", Data: i}); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		wg.Wait()
		n := 0
		for ev, err := range db.ReadAll(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			_ = ev
			n++
		}
		rep, err := db.Check(ctx, Deep())
		fmt.Println(n, rep, err)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db, err = Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		n = 0
		for ev, err := range db.ReadAll(ctx, Backward()) {
			if err != nil {
				t.Fatal(err)
			}
			_ = ev
			n++
		}
		fmt.Println(n, db.Info())
		for si, err := range db.Streams(ctx, "") {
			fmt.Println(si, err)
		}
		st, _ := db.Stats()
		fmt.Println(st)
		db.Close()
	}
}
