// Package ledger reads the journals of ledger-cli as events.
//
// It reads what says how much was posted to which account: transactions with all their
// forms of amounts, prices, lots, virtual postings, balance assertions and assignments,
// the declarations of accounts, commodities, payees and tags, aliases, default years and
// accounts, market prices. What would need ledger's expression language, or another
// file, is refused with its line: nothing is passed over.
//
// The rules were taken from ledger's manual and behaviour; the code is our own.
package ledger
