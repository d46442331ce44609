// Package stock is a projection that keeps how much there is of each item at each
// location, and what it is worth.
//
// What an event moves is said by a [Mapping]: a function, or the paths of [Fields].
package stock
