package demo

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// testChild turns the test binary into a child: see TestMain.
func testChild(t *testing.T, role string) func(context.Context, string, uint64) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, dir string, seed uint64) *exec.Cmd {
		cmd := exec.CommandContext(ctx, program)
		cmd.Env = append(os.Environ(), childDir+"="+dir, childSeed+"="+strconv.FormatUint(seed, 10), childRole+"="+role)
		return cmd
	}
}

func TestTheDemoHoldsWhatItClaims(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	var out bytes.Buffer
	err := Run(t.Context(), Config{Dir: dir, Seed: 2025, Out: &out, Child: testChild(t, ""), Projector: testChild(t, "projector")})
	if err != nil {
		t.Fatalf("Run = %v\n%s", err, out.String())
	}
	for _, want := range []string{
		"every acknowledged entry is there", "nothing is added", "the balances sum to zero",
		"trial-balance opens at position", "it sums to zero: no entry is in it by half", "stock went on where it was", "reading all postings anew gives the same",
		"the read model, asked as of that day as known then: 423 pieces", "as known today: 399 pieces",
		"as known today", "0 problems", " 0 did not",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("transcript lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "FAILED") {
		t.Errorf("a claim failed:\n%s", out.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "db")); err != nil {
		t.Errorf("the store was not kept: %v", err)
	}
}

func TestTheDemoRefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), Config{Dir: dir, Out: &bytes.Buffer{}, Child: testChild(t, ""), Projector: testChild(t, "projector")})
	if err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("Run = %v, want it to refuse a directory that is not empty", err)
	}
}

func TestAChildThatEndsBeforeTheKillFailsTheDemo(t *testing.T) {
	t.Parallel()
	child := func(ctx context.Context, _ string, _ uint64) *exec.Cmd {
		cmd := testChild(t, "")(ctx, "", 0)
		cmd.Args = append(cmd.Args, "-test.run=^$") // not a child: a test run without tests
		return cmd
	}
	err := Run(t.Context(), Config{Seed: 1, Out: &bytes.Buffer{}, Child: child})
	if err == nil {
		t.Error("Run = nil, want an error: nothing was killed")
	}
}
