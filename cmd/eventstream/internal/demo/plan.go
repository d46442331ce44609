package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nexus-erp/eventstream"
)

// Plan is the shop's year, and what the generator, which never asks the store,
// expects of it.
type Plan struct {
	Entries []Entry
	Events  int // in all entries
	// Balances are the accounts' balances at the end, in cents, debits positive.
	Balances map[string]int64
	// Correction is the back-dated correction of the stock.
	Correction Correction
}

// Correction says what the stock-take in December found: a delivery in May had
// fewer pieces than were booked.
type Correction struct {
	SKU      string
	Name     string
	Quantity int64     // negative
	Occurred time.Time // the delivery
	Recorded time.Time // the stock-take
	// BookedInMay is the item's stock at the end of May as the books had it then.
	BookedInMay int64
}

// endOfMay is when the demo asks for the stock.
func endOfMay() time.Time { return time.Date(year, 5, 31, 23, 59, 59, 0, time.UTC) }

// Stock is an item's pieces and their value.
type Stock struct{ Quantity, ValueCents int64 }

// planner makes the plan, day by day.
type planner struct {
	rng      *rand.Rand
	plan     *Plan
	items    []item
	now      time.Time
	versions map[eventstream.StreamID]eventstream.Version
	stock    map[string]Stock

	invoices   int
	deliveries int
}

// NewPlan returns the year for a seed.
func NewPlan(seed uint64) *Plan {
	p := &planner{
		rng:      rand.New(rand.NewPCG(seed, year)),
		plan:     &Plan{Balances: map[string]int64{}},
		items:    catalog(),
		versions: map[eventstream.StreamID]eventstream.Version{},
		stock:    map[string]Stock{},
	}
	for day := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() == year; day = day.AddDate(0, 0, 1) {
		p.day(day)
	}
	return p.plan
}

// day books what happens on one day.
func (p *planner) day(day time.Time) {
	p.now = day.Add(7 * time.Hour)
	if day.Day() == 1 {
		p.openMonth(day)
	}
	if day.YearDay() == 1 {
		p.openingBalances()
	}
	if day.Weekday() == time.Sunday || day.YearDay() == 1 {
		p.endOfDay(day)
		return
	}
	if day.Day() <= 7 && day.Weekday() == time.Monday {
		p.transfer(bank, rent, 2_400_00, "shop rent "+day.Format("January"))
	}
	for _, it := range p.items {
		if p.stock[it.sku].Quantity < it.reorderAt || p.isStandingOrder(it, day) {
			p.delivery(it)
		}
	}
	p.now = day.Add(10 * time.Hour)
	for range 4 + p.rng.IntN(6) {
		p.sale()
	}
	if day.Weekday() == time.Saturday {
		p.deposit()
	}
	if day.Month() == time.December && day.Day() == 9 {
		p.correction()
	}
	p.endOfDay(day)
}

func (p *planner) endOfDay(day time.Time) {
	if day.Month() == time.May && day.Day() == 31 {
		p.plan.Correction.BookedInMay = p.stock[correctedSKU].Quantity
	}
	p.now = day.Add(22 * time.Hour)
	if day.AddDate(0, 0, 1).Day() == 1 {
		p.paySuppliers()
		p.closeMonth(day)
	}
}

// tick lets some minutes pass.
func (p *planner) tick() { p.now = p.now.Add(time.Duration(3+p.rng.IntN(40)) * time.Minute) }

func (p *planner) openMonth(day time.Time) {
	d := p.draft("accounting")
	d.append(periodStream(day), eventstream.NoStream, typePeriodOpened, &Period{Month: day.Format("2006-01")})
	d.bookUnchecked()
}

func (p *planner) closeMonth(day time.Time) {
	d := p.draft("accounting")
	d.append(periodStream(day), periodIsOpen(), typePeriodClosed, &Period{Month: day.Format("2006-01")})
	d.bookUnchecked()
}

func (p *planner) openingBalances() {
	d := p.draft("accounting")
	var goods int64
	for _, it := range p.items {
		value := it.reorder * it.costCents
		d.move(it.sku, typeGoodsReceived, it.reorder, value)
		goods += value
	}
	d.post(inventory, goods, "opening balance")
	d.post(cash, 500_00, "opening balance")
	d.post(bank, 30_000_00, "opening balance")
	d.post(equity, -goods-500_00-30_000_00, "opening balance")
	d.book()
}

// sale sells one to three items for cash.
func (p *planner) sale() {
	p.tick()
	d := p.draft("till-" + fmt.Sprint(1+p.rng.IntN(3)))
	doc := &Document{Number: fmt.Sprintf("%d-%05d", year, p.invoices+1), Partner: fmt.Sprintf("customer-%03d", p.rng.IntN(400))}
	var cost int64
	first := p.rng.IntN(len(p.items))
	for i := range 1 + p.rng.IntN(3) {
		it := p.items[(first+i*3)%len(p.items)]
		quantity := min(1+p.rng.Int64N(4), p.stock[it.sku].Quantity)
		if quantity == 0 {
			continue
		}
		doc.Lines = append(doc.Lines, Line{Item: it.sku, Quantity: quantity, UnitCents: it.priceCents})
		doc.NetCents += quantity * it.priceCents
	}
	if len(doc.Lines) == 0 {
		return
	}
	p.invoices++
	doc.VATCents = vat(doc.NetCents)
	doc.GrossCents = doc.NetCents + doc.VATCents
	d.append(invoiceStream(p.invoices), eventstream.NoStream, typeInvoiceIssued, doc)
	for _, line := range doc.Lines {
		value := p.averageCost(line.Item, line.Quantity)
		d.move(line.Item, typeGoodsIssued, -line.Quantity, -value)
		cost += value
	}
	text := "invoice " + doc.Number
	d.post(cash, doc.GrossCents, text)
	d.post(revenue, -doc.NetCents, text)
	d.post(outputVAT, -doc.VATCents, text)
	d.post(costOfSales, cost, text)
	d.post(inventory, -cost, text)
	d.book()
}

// averageCost returns what quantity pieces of an item are worth, at the average of
// its stock. The last piece takes what rounding left.
func (p *planner) averageCost(sku string, quantity int64) int64 {
	s := p.stock[sku]
	if quantity >= s.Quantity {
		return s.ValueCents
	}
	return s.ValueCents * quantity / s.Quantity
}

// delivery brings an item, on account.
func (p *planner) delivery(it item) {
	p.tick()
	p.deliveries++
	d := p.draft("warehouse")
	unit := it.costCents + it.costCents*int64(p.rng.IntN(9)-4)/100
	net := it.reorder * unit
	doc := &Document{
		Number: fmt.Sprintf("%d-%04d", year, p.deliveries), Partner: fmt.Sprintf("supplier-%02d", p.rng.IntN(12)),
		Lines:    []Line{{Item: it.sku, Quantity: it.reorder, UnitCents: unit}},
		NetCents: net, VATCents: vat(net), GrossCents: net + vat(net),
	}
	d.append(deliveryStream(p.deliveries), eventstream.NoStream, typeDelivery, doc)
	d.move(it.sku, typeGoodsReceived, it.reorder, net)
	text := "delivery " + doc.Number
	d.post(inventory, net, text)
	d.post(inputVAT, doc.VATCents, text)
	d.post(payables, -doc.GrossCents, text)
	d.book()
	if p.isStandingOrder(it, p.now) {
		p.plan.Correction.Occurred = p.now
	}
}

// isStandingOrder reports the delivery that comes whatever the stock, and that is
// corrected later.
func (p *planner) isStandingOrder(it item, day time.Time) bool {
	return it.sku == correctedSKU && day.Month() == time.May && day.Day() == 12
}

// transfer books cents from one account to another.
func (p *planner) transfer(from, to string, cents int64, text string) {
	p.tick()
	d := p.draft("accounting")
	d.post(to, cents, text)
	d.post(from, -cents, text)
	d.book()
}

func (p *planner) paySuppliers() {
	if owed := -p.plan.Balances[payables]; owed > 0 {
		p.transfer(bank, payables, owed, "suppliers "+p.now.Format("January"))
	}
}

// deposit takes the week's cash to the bank.
func (p *planner) deposit() {
	if amount := p.plan.Balances[cash] - 500_00; amount > 0 {
		p.transfer(cash, bank, amount, "cash deposit")
	}
}

// correctedSKU is the item that the stock-take corrects.
const correctedSKU = "tea_assam_250"

// correction books what a stock-take found: some pieces of a delivery in May never
// came. The stock was wrong since then, so the move occurred then; May is closed,
// so the money is booked in the month that is open.
func (p *planner) correction() {
	const missing = 24
	p.tick()
	c := &p.plan.Correction
	c.SKU, c.Name, c.Quantity, c.Recorded = correctedSKU, p.items[0].name, -missing, p.now
	d := p.draft("warehouse")
	value := p.averageCost(correctedSKU, missing)
	d.occurred = c.Occurred
	d.move(correctedSKU, typeStockCorrected, -missing, -value)
	d.occurred = c.Recorded
	d.post(differences, value, "stock-take")
	d.post(inventory, -value, "stock-take")
	d.book()
}
