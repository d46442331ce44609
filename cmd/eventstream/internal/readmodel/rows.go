package readmodel

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"time"
	"unicode/utf8"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/balances"
	"github.com/nexus-erp/eventstream/projection/decimal"
	"github.com/nexus-erp/eventstream/projection/directory"
	"github.com/nexus-erp/eventstream/projection/stock"
)

// Query says which records of a view to show.
type Query struct {
	Key    string // the account, item or stream; of another projection, the stored key
	HasKey bool   // false: all of them
	Period string // of balances: a month, "" for the total, or AllPeriods
}

// AllPeriods asks for the total and every month.
const AllPeriods = "all"

// balanceRow, stockRow, directoryRow and rawRow are the records as JSON.
type (
	balanceRow struct {
		Period    balances.Period `json:"period"` // "" is the total
		Account   string          `json:"account"`
		Commodity string          `json:"commodity"`
		Debit     decimal.Decimal `json:"debit"`
		Credit    decimal.Decimal `json:"credit"`
		Net       decimal.Decimal `json:"net"`
		Postings  uint64          `json:"postings"`
	}
	stockRow struct {
		Item     string          `json:"item"`
		Location string          `json:"location"`
		Quantity decimal.Decimal `json:"quantity"`
		Value    decimal.Decimal `json:"value"`
		In       decimal.Decimal `json:"in"`
		Out      decimal.Decimal `json:"out"`
		Moves    uint64          `json:"moves"`
		LastAt   time.Time       `json:"last_at"`
	}
	directoryRow struct {
		Stream          eventstream.StreamID `json:"stream"`
		Category        string               `json:"category"`
		FirstPosition   eventstream.Position `json:"first_position"`
		LastPosition    eventstream.Position `json:"last_position"`
		Version         eventstream.Version  `json:"version"`
		Events          uint64               `json:"events"`
		LastType        string               `json:"last_type"`
		FirstOccurredAt time.Time            `json:"first_occurred_at"`
		LastOccurredAt  time.Time            `json:"last_occurred_at"`
		LastRecordedAt  time.Time            `json:"last_recorded_at"`
	}
	rawRow struct {
		Key         string          `json:"key"` // what of it is text
		KeyBase64   string          `json:"key_base64"`
		Value       json.RawMessage `json:"value"` // null if it is no MessagePack
		ValueBase64 string          `json:"value_base64"`
	}
)

// Columns returns the fields that tables show of records of a kind; nil is all of them.
func Columns(kind string) []string {
	switch kind {
	case Directory:
		return []string{"stream", "version", "last_type", "first_occurred_at", "last_occurred_at", "last_position"}
	case "":
		return []string{"key", "value"}
	default:
		return nil
	}
}

// Rows returns the records of a view of a kind as values for JSON; kind "" is a
// projection that this program does not know. An error is the last item.
func Rows(r projection.Reader, kind string, q Query) iter.Seq2[any, error] {
	switch kind {
	case Balances:
		return rows(balanceRecords(r, q), func(k balances.Key, b balances.Balance) any {
			return balanceRow{k.Period, k.Account, k.Commodity, b.Debit, b.Credit, b.Net(), b.Postings}
		})
	case Stock:
		records := stock.Levels(r)
		if q.HasKey {
			records = stock.Item(r, q.Key)
		}
		return rows(records, func(k stock.Key, l stock.Level) any {
			return stockRow{k.Item, k.Location, l.Quantity, l.Value, l.In, l.Out, l.Moves, l.LastAt.Time()}
		})
	case Directory:
		records := directory.Entries(r, "")
		if q.HasKey {
			records = directory.Records().Under(r, eventstream.StreamID(q.Key), 1)
		}
		return rows(records, func(stream eventstream.StreamID, e directory.Entry) any {
			return directoryRow{
				stream, e.Category, e.FirstPosition, e.LastPosition, e.Version, e.Events, e.LastType,
				e.FirstOccurredAt.Time(), e.LastOccurredAt.Time(), e.LastRecordedAt.Time(),
			}
		})
	default:
		return rawRows(r, q)
	}
}

func balanceRecords(r projection.Reader, q Query) iter.Seq2[projection.Record[balances.Key, balances.Balance], error] {
	switch {
	case q.Period == AllPeriods && q.HasKey:
		return func(yield func(projection.Record[balances.Key, balances.Balance], error) bool) {
			for record, err := range balances.Records().All(r) {
				if (err != nil || record.Key.Account == q.Key) && !yield(record, err) {
					return
				}
			}
		}
	case q.Period == AllPeriods:
		return balances.Records().All(r)
	case q.HasKey:
		return balances.Account(r, balances.Period(q.Period), q.Key)
	default:
		return balances.Lines(r, balances.Period(q.Period))
	}
}

func rows[K, V any](records iter.Seq2[projection.Record[K, V], error], show func(K, V) any) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for record, err := range records {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(show(record.Key, record.Value), nil) {
				return
			}
		}
	}
}

// rawRows shows records as they are stored, as far as they are text and MessagePack.
func rawRows(r projection.Reader, q Query) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for record, err := range r.Scan(nil, nil) {
			if err != nil {
				yield(nil, err)
				return
			}
			if q.HasKey && string(record.Key) != q.Key {
				continue
			}
			if !yield(raw(record), nil) {
				return
			}
		}
	}
}

func raw(record eventstream.ViewRecord) rawRow {
	row := rawRow{Value: json.RawMessage("null")}
	if utf8.Valid(record.Key) {
		row.Key = string(record.Key)
	} else {
		row.Key, row.KeyBase64 = fmt.Sprintf("%q", record.Key), base64.StdEncoding.EncodeToString(record.Key)
	}
	if doc, exact, err := codec.ToJSON(codec.Msgpack, record.Value); err == nil {
		row.Value = doc
		if exact {
			return row
		}
	}
	row.ValueBase64 = base64.StdEncoding.EncodeToString(record.Value)
	return row
}

// Show returns a stored record as JSON, as Rows shows it; null for no value.
func Show(kind string, key, value []byte) (json.RawMessage, error) {
	if value == nil {
		return json.RawMessage("null"), nil
	}
	one := single{eventstream.ViewRecord{Key: key, Value: value}}
	for row, err := range Rows(one, kind, Query{Period: AllPeriods}) {
		if err != nil {
			return nil, err
		}
		return json.Marshal(row)
	}
	return json.RawMessage("null"), nil
}

// single is a view of one record.
type single struct{ record eventstream.ViewRecord }

// Get returns the record's value if it has this key.
func (s single) Get(key []byte) ([]byte, bool, error) {
	if string(key) != string(s.record.Key) {
		return nil, false, nil
	}
	return s.record.Value, true, nil
}

// Scan returns the record, wherever the bounds are.
func (s single) Scan(_, _ []byte) iter.Seq2[eventstream.ViewRecord, error] {
	return func(yield func(eventstream.ViewRecord, error) bool) { yield(s.record, nil) }
}
