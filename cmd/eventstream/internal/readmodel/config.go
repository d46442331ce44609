// Package readmodel makes the projections that the command line offers of what the user
// says: a kind, and where events hold accounts, amounts, items and quantities.
package readmodel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/goccy/go-yaml"

	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/balances"
	"github.com/nexus-erp/eventstream/projection/directory"
	"github.com/nexus-erp/eventstream/projection/stock"
)

// The kinds of projections that there are.
const (
	Balances  = "balances"
	Stock     = "stock"
	Directory = "directory"
)

// Kinds returns all kinds.
func Kinds() []string { return []string{Balances, Stock, Directory} }

// Config says what a projection is. It is a small YAML file, and is stored beside the
// view, as JSON, so that it need not be given again:
//
//	kind: balances              # balances, stock or directory; default: the projection's name
//	types: [LineRecorded]       # of the events that it takes; default: all
//	category: retail-invoice    # of their streams; default: all
//	account: data.Country       # balances: the path of the account
//	commodity: "'GBP'"          # of the commodity; a text stands in quotes
//	amount: data.Amount         # of the amount, debits positive; or quantity and price
//	quantity: data.Quantity
//	price: data.Price
//	item: data.StockCode        # stock: the path of the item, beside quantity
//	location: data.Warehouse
//	value: data.Value           # what the quantity is worth; or price
//	decimals: 2                 # how many of the amount's or value's last digits are decimals
//	history: true               # keep what the view was, for --as-of
type Config struct {
	Kind      string   `yaml:"kind" json:"kind"`
	Types     []string `yaml:"types" json:"types,omitempty"`
	Category  string   `yaml:"category" json:"category,omitempty"`
	Account   string   `yaml:"account" json:"account,omitempty"`
	Commodity string   `yaml:"commodity" json:"commodity,omitempty"`
	Amount    string   `yaml:"amount" json:"amount,omitempty"`
	Quantity  string   `yaml:"quantity" json:"quantity,omitempty"`
	Price     string   `yaml:"price" json:"price,omitempty"`
	Item      string   `yaml:"item" json:"item,omitempty"`
	Location  string   `yaml:"location" json:"location,omitempty"`
	Value     string   `yaml:"value" json:"value,omitempty"`
	Decimals  int      `yaml:"decimals" json:"decimals,omitempty"`
	History   bool     `yaml:"history" json:"history,omitempty"`
}

// ParseFile reads a mapping file. A field that it does not know is an error that shows the
// line.
func ParseFile(file []byte) (Config, error) {
	var c Config
	err := yaml.NewDecoder(bytes.NewReader(file), yaml.DisallowUnknownField()).Decode(&c)
	return c, err
}

// Preset returns a mapping that is ready: "ledger" for what "import --format ledger"
// makes of a journal, "demo" for what the command demo leaves.
func Preset(preset, kind string) (Config, error) {
	switch preset + " " + kind {
	case "ledger " + Balances:
		f := balances.Ledger()
		return Config{
			Kind: Balances, Types: []string{"PostingImported"}, Account: f.Account, Commodity: f.Commodity, Amount: f.Amount,
		}, nil
	case "demo " + Balances:
		return Config{
			Kind: Balances, Types: []string{"AmountPosted"}, Category: "finance-account",
			Account: "id", Commodity: "'EUR'", Amount: "data.amount_cents", Decimals: 2,
		}, nil
	case "demo " + Stock:
		return Config{
			Kind: Stock, Category: "warehouse-item", Item: "id", Quantity: "data.quantity", Value: "data.value_cents", Decimals: 2,
		}, nil
	}
	return Config{}, fmt.Errorf("there is no preset %q of %s: use ledger for balances, or demo for balances or stock", preset, kind)
}

// Definition returns the projection that c describes. What does not belong to its kind is
// an error, so that a field that does nothing is seen.
func (c Config) Definition(name string) (projection.Definition, error) {
	if err := c.checkFields(); err != nil {
		return projection.Definition{}, err
	}
	var d projection.Definition
	switch c.Kind {
	case Balances:
		m, err := balances.Fields{
			Account: c.Account, Commodity: c.Commodity, Amount: c.Amount, Quantity: c.Quantity, Price: c.Price, Decimals: c.Decimals,
		}.Mapping()
		if err != nil {
			return d, err
		}
		d = balances.Definition(name, m)
	case Stock:
		m, err := stock.Fields{
			Item: c.Item, Location: c.Location, Quantity: c.Quantity, Value: c.Value, Price: c.Price, Decimals: c.Decimals,
		}.Mapping()
		if err != nil {
			return d, err
		}
		d = stock.Definition(name, m)
	case Directory:
		d = directory.Definition(name)
	}
	d.Types, d.Category = c.Types, c.Category
	d.Keyed.AsOf = c.History
	d.Version = c.version()
	return d, nil
}

func (c Config) checkFields() error {
	if !slices.Contains(Kinds(), c.Kind) {
		return fmt.Errorf("kind: %q is none of %s", c.Kind, strings.Join(Kinds(), ", "))
	}
	for _, f := range []struct{ name, value, of string }{
		{"account", c.Account, Balances},
		{"commodity", c.Commodity, Balances},
		{"amount", c.Amount, Balances},
		{"quantity", c.Quantity, Balances + " " + Stock},
		{"price", c.Price, Balances + " " + Stock},
		{"item", c.Item, Stock},
		{"location", c.Location, Stock},
		{"value", c.Value, Stock},
	} {
		if f.value != "" && !slices.Contains(strings.Fields(f.of), c.Kind) {
			return fmt.Errorf("%s: a projection of the kind %s has none", f.name, c.Kind)
		}
	}
	if c.Decimals != 0 && c.Kind == Directory {
		return fmt.Errorf("decimals: a projection of the kind %s has none", c.Kind)
	}
	return nil
}

// version tells mappings apart: a view that was built by one is not gone on with by
// another. History is the engine's to tell apart.
func (c Config) version() uint64 {
	c.History = false
	return max(xxhash.Sum64(c.json()), 1)
}

func (c Config) json() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		return nil // there is no such value of Config
	}
	return b
}
