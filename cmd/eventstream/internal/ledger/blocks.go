package ledger

import (
	"fmt"
	"io"
	"strconv"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
)

// The types of the events that an import makes.
const (
	PostingType = "PostingImported"
	PriceType   = "PriceImported"
)

// DefaultCategory is the category of the streams of accounts, unless another is asked
// for.
const DefaultCategory = "ledger-account"

// PriceKind is the second part of the category of the streams of prices.
const PriceKind = "commodity"

// fields are the names of a record's parts in a journal.
var fields = source.Fields{Stream: "account", Type: "transaction", OccurredAt: "date", Data: "transaction", Metadata: "account"}

// Blocks reads a journal as events: one stream for each account, one event for each
// posting, one block for each transaction. An amount that was left out and stands for
// several commodities is an event for each of them. Directives that only declare
// something make no events; a market price makes one, in the stream of its commodity.
//
// The account's name stands as "case" in each event's metadata, since a stream's name
// may not be able to hold it.
type Blocks struct {
	journal    *journal
	accounts   source.Category
	currencies source.Category
	groups     *source.Groups
}

// NewBlocks returns the blocks of the journal that r reads.
func NewBlocks(r io.Reader, accounts source.Category) *Blocks {
	return &Blocks{journal: newJournal(r), accounts: accounts, currencies: accounts.Beside(PriceKind), groups: source.NewGroups(1)}
}

// Next returns the next block. See [source.Decoder].
func (b *Blocks) Next() (source.Block, error) {
	for {
		if block, err, ok := b.groups.Next(); ok {
			return block, err
		}
		next, err := b.journal.next()
		switch {
		case err != nil:
			return source.Block{}, err
		case next.quote != nil:
			b.addQuote(next.quote)
		default:
			b.addTransaction(next.transaction)
		}
	}
}

// addTransaction queues a transaction as one block, or what is wrong with it.
func (b *Blocks) addTransaction(t *transaction) {
	records := make([]source.Record, 0, len(t.postings))
	size := 0
	for i, p := range t.postings {
		r, bad := b.record(t, p)
		if size += r.Size(); bad == nil && size > source.MaxBlockBytes {
			bad = &source.BadRecord{Line: t.line, Field: "transaction", Reason: fmt.Sprintf("has more than %d MiB as events", source.MaxBlockBytes>>20)}
		}
		if bad != nil {
			bad.Events = len(t.postings)
			b.groups.Fail(bad)
			return
		}
		// A transaction that is mended changes the ordinals of no other.
		r.Ordinal = t.number<<20 | i
		records = append(records, r)
	}
	for _, r := range records {
		b.groups.Add(strconv.Itoa(t.number), r)
	}
	b.groups.Finish()
}

func (b *Blocks) record(t *transaction, p *posting) (source.Record, *source.BadRecord) {
	stream, err := b.accounts.Stream(p.account)
	if err != nil {
		return source.Record{}, &source.BadRecord{Line: p.line, Field: "account", Reason: err.Error(), Err: err}
	}
	return b.checked(p.line, eventstream.NewEvent{
		Type: PostingType, Codec: codec.JSON, OccurredAt: p.date, Metadata: map[string]string{"case": p.account},
	}, stream, payloadOf(t, p))
}

// addQuote queues a market price. Its ordinal counts prices alone: they have streams of
// their own.
func (b *Blocks) addQuote(q *quote) {
	stream, err := b.currencies.Stream(q.commodity)
	if err != nil {
		b.groups.Fail(&source.BadRecord{Line: q.line, Field: "P", Reason: err.Error(), Events: 1, Err: err})
		return
	}
	r, bad := b.checked(q.line, eventstream.NewEvent{
		Type: PriceType, Codec: codec.JSON, OccurredAt: q.at, Metadata: map[string]string{"case": q.commodity},
	}, stream, quotePayload{Commodity: q.commodity, Price: *payloadAmount(&q.price)})
	if bad != nil {
		b.groups.Fail(bad)
		return
	}
	r.Ordinal = q.number
	b.groups.Add(fmt.Sprintf("P%d", q.number), r)
	b.groups.Finish()
}

// checked encodes the payload and checks that the store would take the event.
func (b *Blocks) checked(line int, ev eventstream.NewEvent, stream eventstream.StreamID, payload any) (source.Record, *source.BadRecord) {
	data, err := codec.Encode(nil, codec.JSON, payload)
	if err != nil {
		return source.Record{}, &source.BadRecord{Line: line, Field: "transaction", Reason: err.Error(), Events: 1, Err: err}
	}
	ev.Data = codec.Encoded(data)
	r := source.Record{Line: line, Stream: stream, Event: ev}
	return r, source.Check(&r, fields)
}
