package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The document shows the mutants that there are.
func TestTheDocumentShowsEveryMutant(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "RELIABILITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	printMarkdown(&table, mutants())
	if !strings.Contains(string(text), table.String()) {
		t.Error("docs/RELIABILITY.md does not show the table that -markdown prints: put it there")
	}
}
