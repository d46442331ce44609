// Package balances is a projection that keeps what was posted to each account: debits,
// credits and their difference, by commodity, for each month and in all. Since a commit
// is never shown in part, whoever reads a trial balance sees journal entries whole.
//
// What an event posts is said by a [Mapping]: a function, or the paths of [Fields].
package balances
