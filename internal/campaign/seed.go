package campaign

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// seedFlag replays one seed: go test ./the/package -run TheTest -seed N.
var seedFlag = flag.Uint64("seed", 0, "try this seed alone in tests that take random numbers")

// regressDir holds a file for each test that once failed, in the folder of its package.
const regressDir = "testdata/regress"

// Seeds returns the seeds that a test tries: those with which it failed once, from
// testdata/regress/TEST.txt in the folder of its package, and n new ones. With the flag
// -seed it is that one alone.
func Seeds(t testing.TB, n int) []uint64 {
	t.Helper()
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	seeds := regress(t)
	for range n {
		seeds = append(seeds, rand.Uint64()>>1|1)
	}
	return seeds
}

// Seed returns a new seed, or that of the flag -seed, for a test that needs one. If the
// test fails, its log says how to have the seed again.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seeds := Seeds(t, 1)
	seed := seeds[len(seeds)-1]
	tell(t, seed)
	return seed
}

// Rand returns the random numbers of a seed. If the test fails, its log says how to have
// them again.
func Rand(t testing.TB, seed uint64) *rand.Rand {
	t.Helper()
	tell(t, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func tell(t testing.TB, seed uint64) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			test, _, _ := strings.Cut(t.Name(), "/")
			t.Logf("again: go test -run '^%s$' -seed %d; then add it to %s/%s.txt", test, seed, regressDir, test)
		}
	})
}

// regress reads the seeds of the test's file. A line is a seed and what was wrong, or a
// comment that begins with #.
func regress(t testing.TB) []uint64 {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	path := filepath.Join(regressDir, test+".txt")
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it is only read
	var seeds []uint64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		seed, err := parseSeed(line)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

// parseSeed reads a line "SEED what was wrong". A seed without a story is refused: who
// reads it later must know what it guards.
func parseSeed(line string) (uint64, error) {
	number, story, _ := strings.Cut(line, " ")
	seed, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: want a seed and what was wrong: %w", line, err)
	}
	if strings.TrimSpace(story) == "" {
		return 0, fmt.Errorf("%q: say what was wrong behind the seed", line)
	}
	return seed, nil
}
