package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is a fault that somebody could make, and the tests that must find it.
type mutant struct {
	name string // what is broken
	file string // from the root of the module, with slashes

	// find stands in the file exactly once, so that a table which went stale is noticed;
	// put takes its place.
	find, put string

	pkg   string   // of the tests, as ./folder
	tests []string // each of them must fail

	// long runs the tests without -short, which would do too little.
	long bool
	// hangs says that the tests are expected not to end.
	hangs bool
}

// mutants are all of them, in the order of the parts of the store.
func mutants() []mutant {
	return slices.Concat(writeMutants, logMutants, openMutants, formatMutants, readMutants, queryMutants, snapshotMutants, projectionMutants, backupMutants)
}

// apply returns the file with the fault in it.
func (m *mutant) apply(root string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(source), m.find); n != 1 {
		return nil, fmt.Errorf("%s: the text stands there %d times, want once: %q", m.file, n, m.find)
	}
	return []byte(strings.Replace(string(source), m.find, m.put, 1)), nil
}
