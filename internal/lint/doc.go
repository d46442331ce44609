// Package lint holds the tests that keep the module in its shape: who may import
// whom, how long a file may be, what must have a comment, and which calls belong
// in programs alone. It has no code of its own. The rules themselves are tested
// with violations made up for the purpose.
package lint
