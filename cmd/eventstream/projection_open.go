package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/readmodel"
	"github.com/nexus-erp/eventstream/projection"
)

// openProjection is a projection that a command works on.
type openProjection struct {
	db     *eventstream.DB
	tenant *eventstream.Tenant
	engine *projection.Engine
	name   string
	known  bool             // what it is is known; else it belongs to another program
	config readmodel.Config // if it is known
}

// errOfAnotherProgram is what Apply of a projection says that is not known here.
var errOfAnotherProgram = errors.New("the projection belongs to another program, which alone can apply events")

// definer is what a command says of how a projection is run.
type definer func(*projection.Definition, *projection.Options)

// findProjection returns a projection that the store holds something of.
func findProjection(cmd *cobra.Command, db *eventstream.DB, t *eventstream.Tenant, name string, define definer) (*openProjection, error) {
	names, err := projection.StoredNames(t)
	if err != nil {
		return nil, err
	}
	config, ok, err := readmodel.Load(t, name)
	if err != nil {
		return nil, err
	}
	if !ok && !slices.Contains(names, name) {
		return nil, fmt.Errorf("%w: the store holds nothing of projection %q", projection.ErrUnknown, name)
	}
	return newProjection(cmd, db, t, name, config, ok, define)
}

func newProjection(
	cmd *cobra.Command, db *eventstream.DB, t *eventstream.Tenant, name string, config readmodel.Config, known bool, define definer,
) (*openProjection, error) {
	tenant, err := cmd.Flags().GetString("tenant")
	if err != nil {
		return nil, err
	}
	d := projection.Definition{
		Name: name, Apply: func(context.Context, *eventstream.Tx, eventstream.Event) error { return errOfAnotherProgram },
	}
	if known {
		if d, err = config.Definition(name); err != nil {
			return nil, usagef("projection %s: %v", name, err)
		}
	}
	opts := &projection.Options{Tenant: tenant, Owner: "eventstream"}
	if define != nil {
		define(&d, opts)
	}
	p := &openProjection{db: db, tenant: t, name: name, known: known, config: config, engine: projection.New(db, opts)}
	return p, p.engine.Register(d)
}

// mappingFlags are the flags that say what a projection is.
type mappingFlags struct {
	file, preset string
	given        readmodel.Config // by single flags
}

func addMappingFlags(cmd *cobra.Command) *mappingFlags {
	m := &mappingFlags{}
	f, c := cmd.Flags(), &m.given
	f.StringVar(&m.file, "map", "", "the mapping file")
	f.StringVar(&m.preset, "preset", "", "a mapping that is ready: ledger or demo")
	f.StringVar(&c.Kind, "kind", "", "balances, stock or directory (default: NAME, if it is one)")
	f.StringArrayVar(&c.Types, "type", nil, "take events of this type; again for more (default: all)")
	f.StringVar(&c.Category, "category", "", "take events of streams of this category (default: all)")
	f.StringVar(&c.Account, "account", "", "balances: the path of the account")
	f.StringVar(&c.Commodity, "commodity", "", "balances: the path of the commodity")
	f.StringVar(&c.Amount, "amount", "", "balances: the path of the amount, debits positive")
	f.StringVar(&c.Quantity, "quantity", "", "balances, stock: the path of the quantity")
	f.StringVar(&c.Price, "price", "", "balances, stock: the path of the price of one")
	f.StringVar(&c.Item, "item", "", "stock: the path of the item")
	f.StringVar(&c.Location, "location", "", "stock: the path of the location")
	f.StringVar(&c.Value, "value", "", "stock: the path of what the quantity is worth")
	f.IntVar(&c.Decimals, "decimals", 0, "how many of the last digits of amount or value are decimals: 2 for cents")
	f.BoolVar(&c.History, "history", false, "keep what the view was, for inspect --as-of")
	return m
}

const mappingHelp = `
A path is data.NAME (a member of the payload), metadata.NAME, stream, category, id
(the stream's name behind its category), type, user, correlation, or a 'text' in
quotes. A mapping file holds the same as YAML:

  kind: balances
  types: [LineRecorded]
  account: data.Country
  commodity: "'GBP'"
  quantity: data.Quantity
  price: data.Price

What an event does not have, or not as an exact number, is an error, and treated as
--on-failure says.`

// config returns what the flags say; given is false if they say nothing.
func (m *mappingFlags) config(cmd *cobra.Command, name string) (c readmodel.Config, given bool, err error) {
	flags := cmd.Flags()
	if m.file != "" && m.preset != "" {
		return c, false, usagef("give --map or --preset, not both")
	}
	if m.file != "" {
		file, err := os.ReadFile(m.file)
		if err != nil {
			return c, false, err
		}
		if c, err = readmodel.ParseFile(file); err != nil {
			return c, false, usagef("%s: %v", m.file, err)
		}
		given = true
	}
	kind := m.given.Kind
	if kind == "" {
		kind = c.Kind
	}
	if kind == "" && slices.Contains(readmodel.Kinds(), name) {
		kind = name
	}
	if m.preset != "" {
		if c, err = readmodel.Preset(m.preset, kind); err != nil {
			return c, false, usagef("--preset: %v", err)
		}
		given = true
	}
	for flag, set := range map[string]func(){
		"kind":      func() {},
		"type":      func() { c.Types = m.given.Types },
		"category":  func() { c.Category = m.given.Category },
		"account":   func() { c.Account = m.given.Account },
		"commodity": func() { c.Commodity = m.given.Commodity },
		"amount":    func() { c.Amount = m.given.Amount },
		"quantity":  func() { c.Quantity = m.given.Quantity },
		"price":     func() { c.Price = m.given.Price },
		"item":      func() { c.Item = m.given.Item },
		"location":  func() { c.Location = m.given.Location },
		"value":     func() { c.Value = m.given.Value },
		"decimals":  func() { c.Decimals = m.given.Decimals },
		"history":   func() { c.History = m.given.History },
	} {
		if flags.Changed(flag) {
			set()
			given = true
		}
	}
	c.Kind = kind
	return c, given, nil
}

// findMapped returns the projection that a command shall run: as its flags say, else as
// it is stored.
func (m *mappingFlags) findMapped(cmd *cobra.Command, db *eventstream.DB, t *eventstream.Tenant, name string, define definer) (*openProjection, error) {
	config, given, err := m.config(cmd, name)
	if err != nil {
		return nil, err
	}
	stored, ok, err := readmodel.Load(t, name)
	switch {
	case err != nil:
		return nil, err
	case ok && !given:
		config = stored
	case ok && onlyHistory(cmd):
		history := config.History
		config = stored
		config.History = history
	case !given && config.Kind != readmodel.Directory:
		if _, err := findProjection(cmd, db, t, name, nil); err == nil {
			return nil, usagef("projection %s: %v", name, errOfAnotherProgram)
		}
		return nil, usagef("say what projection %s is: give --preset, --map, or --kind and the paths", name)
	}
	return newProjection(cmd, db, t, name, config, true, define)
}

// onlyHistory reports whether the flags change nothing of a mapping but whether its
// history is kept.
func onlyHistory(cmd *cobra.Command) bool {
	for _, flag := range []string{
		"map", "preset", "kind", "type", "category", "account", "commodity", "amount", "quantity", "price", "item", "location", "value", "decimals",
	} {
		if cmd.Flags().Changed(flag) {
			return false
		}
	}
	return true
}

// onFailure is the value of --on-failure.
type onFailure string

func (o *onFailure) String() string { return string(*o) }
func (o *onFailure) Type() string   { return "policy" }

func (o *onFailure) Set(text string) error {
	if text != "halt" && text != "park" && text != "retry" {
		return fmt.Errorf("%q is none of halt, park, retry", text)
	}
	*o = onFailure(text)
	return nil
}

// define sets the policy. An event that a mapping refuses is refused again, so that one
// attempt is enough; one that is retried is told of each time.
func (o *onFailure) define(env *environment) definer {
	return func(d *projection.Definition, opts *projection.Options) {
		d.Attempts = 1
		switch *o {
		case "park":
			d.OnFailure = projection.Park
		case "retry":
			d.OnFailure, d.Attempts = projection.Retry, 0
			opts.Logger = slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		default:
			d.OnFailure = projection.Halt
		}
	}
}
