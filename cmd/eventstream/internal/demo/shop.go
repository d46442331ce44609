package demo

import (
	"fmt"
	"time"

	"github.com/nexus-erp/eventstream"
)

// year is the year that the shop's books cover.
const year = 2025

// The shop's accounts.
const (
	cash        = "1000"
	bank        = "1200"
	inventory   = "1400"
	inputVAT    = "1570"
	payables    = "2000"
	outputVAT   = "2200"
	equity      = "3000"
	revenue     = "4000"
	costOfSales = "5000"
	rent        = "6300"
	differences = "6960"
)

// accountName returns an account's name for people.
func accountName(code string) string {
	switch code {
	case cash:
		return "Cash"
	case bank:
		return "Bank"
	case inventory:
		return "Inventory"
	case inputVAT:
		return "Input VAT"
	case payables:
		return "Payables"
	case outputVAT:
		return "Output VAT"
	case equity:
		return "Equity"
	case revenue:
		return "Revenue"
	case costOfSales:
		return "Cost of goods sold"
	case rent:
		return "Rent"
	case differences:
		return "Inventory differences"
	default:
		return "?"
	}
}

// item is something that the shop buys and sells.
type item struct {
	sku        string
	name       string
	priceCents int64 // net
	costCents  int64 // net, give or take the supplier's mood
	reorderAt  int64 // order when fewer pieces are left
	reorder    int64 // pieces in a delivery
}

// catalog returns what the shop sells.
func catalog() []item {
	return []item{
		{"tea_assam_250", "Assam tea, 250 g", 1190, 610, 60, 240},
		{"tea_sencha_100", "Sencha tea, 100 g", 1450, 780, 40, 160},
		{"coffee_house_1000", "House coffee, 1 kg", 2290, 1320, 60, 240},
		{"cup_porcelain", "Porcelain cup", 990, 410, 50, 200},
		{"pot_cast_iron", "Cast iron tea pot", 6490, 3550, 12, 48},
		{"filter_paper_100", "Paper filters, 100", 390, 140, 80, 320},
		{"honey_500", "Honey, 500 g", 890, 520, 40, 160},
		{"gift_box", "Gift box", 1750, 640, 30, 120},
	}
}

// vatPercent is the rate on everything the shop sells and buys.
const vatPercent = 19

// vat returns the tax on net, rounded half up. net is not negative.
func vat(net int64) int64 { return (net*vatPercent + 50) / 100 }

// The shop's streams.

func accountStream(code string) eventstream.StreamID {
	return eventstream.StreamID(accountCategory + "-" + code)
}

func itemStream(sku string) eventstream.StreamID {
	return eventstream.StreamID(itemCategory + "-" + sku)
}

func periodStream(t time.Time) eventstream.StreamID {
	return eventstream.StreamID("finance-period-" + t.Format("2006_01"))
}

func invoiceStream(n int) eventstream.StreamID {
	return eventstream.StreamID(fmt.Sprintf("sales-invoice-%d_%05d", year, n))
}

func deliveryStream(n int) eventstream.StreamID {
	return eventstream.StreamID(fmt.Sprintf("purchase-delivery-%d_%04d", year, n))
}

// accountCategory is the category of the account streams.
const accountCategory = "finance-account"
