package demo

// The types of the events in the shop's books.
const (
	typePeriodOpened   = "PeriodOpened"
	typePeriodClosed   = "PeriodClosed"
	typeAmountPosted   = "AmountPosted"
	typeInvoiceIssued  = "InvoiceIssued"
	typeDelivery       = "DeliveryAccepted"
	typeGoodsReceived  = "GoodsReceived"
	typeGoodsIssued    = "GoodsIssued"
	typeStockCorrected = "StockCorrected"
)

// Period is the payload of PeriodOpened and PeriodClosed.
type Period struct {
	Month string `msgpack:"month"`
}

// Posting is the payload of AmountPosted, on an account's stream. Debits are
// positive, credits negative, so the postings of one entry sum to zero.
type Posting struct {
	Entry       string `msgpack:"entry"`
	AmountCents int64  `msgpack:"amount_cents"`
	Text        string `msgpack:"text"`
}

// StockMove is the payload of GoodsReceived, GoodsIssued and StockCorrected, on an
// item's stream. What comes in is positive, what goes out negative.
type StockMove struct {
	Entry      string `msgpack:"entry"`
	Quantity   int64  `msgpack:"quantity"`
	ValueCents int64  `msgpack:"value_cents"`
}

// Document is the payload of InvoiceIssued and DeliveryAccepted.
type Document struct {
	Number     string `msgpack:"number"`
	Partner    string `msgpack:"partner"`
	Lines      []Line `msgpack:"lines"`
	NetCents   int64  `msgpack:"net_cents"`
	VATCents   int64  `msgpack:"vat_cents"`
	GrossCents int64  `msgpack:"gross_cents"`
}

// Line is one line of a Document.
type Line struct {
	Item      string `msgpack:"item"`
	Quantity  int64  `msgpack:"quantity"`
	UnitCents int64  `msgpack:"unit_cents"`
}
