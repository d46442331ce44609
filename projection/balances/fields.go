package balances

import (
	"fmt"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection/field"
)

// Fields says where events hold what they post: one posting each. The texts are paths of
// package field.
type Fields struct {
	// Account names the account. Required.
	Account string
	// Commodity names what is counted. Default: the commodity "".
	Commodity string
	// Amount is the amount, debits positive. Either it or Quantity is required.
	Amount string
	// Quantity and Price make the amount: their product.
	Quantity, Price string
	// Decimals is how many of the amount's last digits are decimals: 2 if it is in cents.
	Decimals int
}

// Ledger returns the fields of the postings that "import --format ledger" makes of a
// journal, events of the type PostingImported.
func Ledger() Fields {
	return Fields{Account: "data.account", Commodity: "data.commodity", Amount: "data.amount"}
}

// Mapping returns the mapping that f describes. It fails with an
// [*eventstream.ArgumentError] that names the field at fault.
func (f Fields) Mapping() (Mapping, error) {
	fault := func(name, format string, args ...any) error {
		return &eventstream.ArgumentError{Field: name, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case f.Account == "":
		return nil, fault("Account", "it is required: the path of the account, as data.account")
	case f.Amount == "" && (f.Quantity == "" || f.Price == ""):
		return nil, fault("Amount", "give the path of the amount, or those of quantity and price")
	case f.Amount != "" && (f.Quantity != "" || f.Price != ""):
		return nil, fault("Amount", "give the amount, or quantity and price, not both")
	case f.Decimals < 0 || f.Decimals > 100:
		return nil, fault("Decimals", "%d is not between 0 and 100", f.Decimals)
	}
	if f.Commodity == "" {
		f.Commodity = "''"
	}
	paths, err := field.ParsePaths(map[string]string{
		"Account": f.Account, "Commodity": f.Commodity, "Amount": f.Amount, "Quantity": f.Quantity, "Price": f.Price,
	})
	if err != nil {
		return nil, err
	}
	first, second := paths["Amount"], field.Path{}
	if first.IsZero() {
		first, second = paths["Quantity"], paths["Price"]
	}
	account, commodity, decimals := paths["Account"], paths["Commodity"], f.Decimals
	return func(e eventstream.Event) ([]Posting, error) {
		values := field.Of(&e)
		var p Posting
		var err error
		if p.Account, err = values.Text(account); err != nil {
			return nil, err
		}
		if p.Commodity, err = values.Text(commodity); err != nil {
			return nil, err
		}
		if p.Amount, err = values.Product(first, second); err != nil {
			return nil, err
		}
		if decimals > 0 {
			p.Amount = p.Amount.Shift(decimals)
		}
		return []Posting{p}, nil
	}, nil
}
