// Package field finds values in events by paths, as "data.amount", so that a projection
// can be told in a file where amounts and accounts stand. What is not there, or is of
// another kind, is an error: nothing counts as zero.
package field
