package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nexus-erp/eventstream"
)

// DefaultPayloadBytes is the size of a generated payload in msgpack. With the
// envelope around it, an event is stored in about 350 bytes.
const DefaultPayloadBytes = 228

// Posting is the payload of a generated event: one line of a journal entry, as an
// ERP books it.
type Posting struct {
	Entry      string `msgpack:"entry"`
	Line       int    `msgpack:"line"`
	Account    string `msgpack:"account"`
	Contra     string `msgpack:"contra"`
	AmountCent int64  `msgpack:"amount_cents"`
	Currency   string `msgpack:"currency"`
	TaxCode    string `msgpack:"tax_code"`
	CostCenter string `msgpack:"cost_center"`
	Document   string `msgpack:"document"`
	BookedOn   string `msgpack:"booked_on"`
	Quantity   int64  `msgpack:"quantity"`
	Text       string `msgpack:"text"`
}

// postingOverhead is the msgpack size of a Posting with an empty text, give or
// take the widths of its numbers.
const postingOverhead = 172

// generator makes the same events for the same seed.
type generator struct {
	rng      *rand.Rand
	zipf     *rand.Zipf
	taxCodes []string
	words    []string
	size     int
	made     uint64
	day      time.Time
}

// newGenerator returns a generator over streams streams whose payloads have about
// size bytes in msgpack.
func newGenerator(seed uint64, streams, size int) *generator {
	rng := rand.New(rand.NewPCG(seed, 0x65726f74735f7665))
	return &generator{
		rng:      rng,
		zipf:     rand.NewZipf(rng, 1.1, 8, uint64(streams-1)),
		taxCodes: taxCodes(),
		words:    words(),
		size:     size,
		day:      time.Date(2025, 1, 1, 8, 0, 0, 0, time.UTC),
	}
}

// streamName returns the name of the stream with number n.
func streamName(n uint64) eventstream.StreamID {
	return eventstream.StreamID(fmt.Sprintf("finance-account-%06d", n))
}

// stream picks a stream: a few get most events, as accounts do.
func (g *generator) stream() eventstream.StreamID { return streamName(g.zipf.Uint64()) }

// event makes the next event.
func (g *generator) event() eventstream.NewEvent {
	g.made++
	at := g.day.Add(time.Duration(g.made) * 137 * time.Second)
	return eventstream.NewEvent{
		Type:          "JournalEntryPosted",
		Data:          g.posting(at),
		OccurredAt:    at,
		CorrelationID: g.id(at).String(),
		UserID:        "clerk-" + strconv.Itoa(g.rng.IntN(40)),
	}
}

// id makes a ULID of at from the generator's own randomness.
func (g *generator) id(at time.Time) eventstream.EventID {
	var id eventstream.EventID
	ms := uint64(at.UnixMilli())
	binary.BigEndian.PutUint16(id[0:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	binary.BigEndian.PutUint16(id[6:8], uint16(g.rng.Uint32()))
	binary.BigEndian.PutUint64(id[8:16], g.rng.Uint64())
	return id
}

// The vocabulary of postings.
func taxCodes() []string { return []string{"V19", "V07", "V00", "M19", "M07"} }

func words() []string {
	return []string{
		"invoice", "delivery", "order", "goods", "receipt", "freight", "discount", "partial", "payment", "rent",
		"office", "supplies", "steel", "screws", "pallet", "return", "service", "March", "warehouse", "Hamburg",
		"Leipzig", "customer", "supplier", "credit", "reversal", "adjustment", "energy", "insurance", "licence", "travel",
	}
}

func (g *generator) posting(at time.Time) *Posting {
	amount := g.rng.Int64N(5_000_00) + 1_000_00
	if g.made%2 == 0 {
		amount = -amount
	}
	return &Posting{
		Entry:      fmt.Sprintf("JE-2025-%07d", g.made/2),
		Line:       int(g.made%2) + 1,
		Account:    strconv.Itoa(1000 + g.rng.IntN(7000)),
		Contra:     strconv.Itoa(1000 + g.rng.IntN(7000)),
		AmountCent: amount,
		Currency:   "EUR",
		TaxCode:    g.taxCodes[g.rng.IntN(len(g.taxCodes))],
		CostCenter: fmt.Sprintf("CC-%04d", g.rng.IntN(200)),
		Document:   fmt.Sprintf("INV-%08d", g.rng.IntN(100_000_000)),
		BookedOn:   at.Format(time.DateOnly),
		Quantity:   int64(g.rng.IntN(120)),
		Text:       g.text(max(g.size-postingOverhead, 0)),
	}
}

// text returns n bytes of words.
func (g *generator) text(n int) string {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(b, g.words[g.rng.IntN(len(g.words))]...)
		b = append(b, ' ')
	}
	return string(b[:n])
}

// proposal is one event and the stream it goes to.
type proposal struct {
	stream eventstream.StreamID
	event  eventstream.NewEvent
}

// pool makes n proposals.
func (g *generator) pool(n int) []proposal {
	pool := make([]proposal, n)
	for i := range pool {
		pool[i] = proposal{stream: g.stream(), event: g.event()}
	}
	return pool
}
