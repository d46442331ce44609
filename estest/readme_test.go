package estest_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
)

// What the README shows of an aggregate and its test, as it stands there.

type (
	Received struct{ Pieces int }
	Issued   struct{ Pieces int }
)

var ErrShort = errors.New("not enough in stock")

type Item struct{ Pieces int }

func (i *Item) Apply(event any) {
	switch e := event.(type) {
	case Received:
		i.Pieces += e.Pieces
	case Issued:
		i.Pieces -= e.Pieces
	}
}

func (i *Item) Issue(pieces int) ([]any, error) {
	if i.Pieces < pieces {
		return nil, ErrShort
	}
	return []any{Issued{pieces}}, nil
}

var events, errEvents = codec.NewRegistry(codec.Type[Received]("Received", 1), codec.Type[Issued]("Issued", 1))

func TestIssue(t *testing.T) {
	item := estest.Aggregate(t, events, aggregate.Struct[Item]())
	issue := func(i *Item) ([]any, error) { return i.Issue(4) }
	item.Given(Received{10}).When(issue).Then(Issued{4}).ThenState(&Item{6})
	item.Given(Received{3}).When(issue).ThenError(ErrShort)
}

func TestTheREADMEShowsCodeThatWorks(t *testing.T) {
	t.Parallel()
	if errEvents != nil {
		t.Fatal(errEvents)
	}
	ctx := context.Background()
	db := estest.Open(t)
	items, err := aggregate.New(db.DB, events, aggregate.Struct[Item](), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer items.Close()
	res, err := items.Execute(ctx, "stock-item-4711", func(i *Item) ([]any, error) { return i.Issue(4) })
	if !errors.Is(err, ErrShort) {
		t.Errorf("got %+v, %v", res, err)
	}

	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(readme), "type Item struct")
	block, _, ended := strings.Cut(block, "```")
	if !ok || !ended {
		t.Fatal("the README shows no aggregate")
	}
	_, test, ok := strings.Cut(block, "func TestIssue")
	if lines := strings.Count(test, "\n") + 1; !ok || lines > 25 {
		t.Errorf("its test takes %d lines", lines)
	}
	for line := range strings.Lines("type Item struct" + block) {
		shown := strings.TrimSpace(strings.ReplaceAll(line, "New(db,", "New(db.DB,"))
		if shown != "…" && !strings.Contains(string(own), shown) {
			t.Errorf("the README shows %q, which is not tried here", shown)
		}
	}
}
