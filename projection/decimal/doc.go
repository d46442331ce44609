// Package decimal holds exact decimal numbers: amounts, prices and quantities. No
// digit is ever rounded away, and none passes through a float.
package decimal
