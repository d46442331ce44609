// Package campaign is what the tests that try to break the store have in common: how
// long they may go on, which seeds they use, and how what they did is counted. Only
// tests import it.
//
// A test asks [Scale] how many cases it shall try in the [Lane] that it runs in, takes
// its random numbers from [Seeds], which tries again whatever once failed, and reports
// what it did with [Count] and [Exception]. The command report, in the folder below,
// adds up what all tests of a run said, prints it in one line, and fails if it was less
// than the lane owes. [Catalogue] is the list of what may happen to a store, with the
// tests that make it happen; the command cases shows it, and runs one of them.
// than the lane owes. The command mutate breaks the product in one place after the other
// and fails if the tests do not see it.
package campaign
