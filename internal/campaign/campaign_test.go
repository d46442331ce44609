package campaign

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseLane(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Lane{"": PullRequest, "pr": PullRequest, "nightly": Nightly, "weekly": Weekly} {
		if got, err := ParseLane(name); err != nil || got != want {
			t.Errorf("lane %q: got %v and error %v, want %v", name, got, err, want)
		}
	}
	if _, err := ParseLane("night"); err == nil || !strings.Contains(err.Error(), "weekly") {
		t.Errorf(`lane "night": got error %v, want one that names the lanes`, err)
	}
}

// The lanes change the environment of the process, so nothing here is parallel.
func TestALaneScalesCases(t *testing.T) {
	all := Cases{Short: 1, PullRequest: 10, Nightly: 100, Weekly: 1_000}
	pr := 10
	if testing.Short() {
		pr = 1
	}
	for _, c := range []struct {
		lane  string
		cases Cases
		want  int
	}{
		{"", all, pr},
		{"nightly", all, 100},
		{"weekly", all, 1_000},
		{"weekly", Cases{PullRequest: 10, Nightly: 100}, 100},
		{"nightly", Cases{PullRequest: 10}, 10},
	} {
		t.Setenv(LaneVariable, c.lane)
		if got := Scale(t, c.cases); got != c.want {
			t.Errorf("lane %q of %+v: got %d cases, want %d", c.lane, c.cases, got, c.want)
		}
	}
}

func TestATestOfALaterLaneIsSkipped(t *testing.T) {
	for lane, want := range map[string]bool{"": true, "nightly": false, "weekly": false} {
		t.Setenv(LaneVariable, lane)
		skipped := true
		t.Run("in lane "+lane, func(t *testing.T) {
			t.Cleanup(func() { skipped = t.Skipped() })
			Only(t, Nightly)
		})
		if skipped != want {
			t.Errorf("lane %q: skipped %v, want %v", lane, skipped, want)
		}
	}
}

func TestCountsAreAppendedToTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counts")
	t.Setenv(CountsVariable, path)
	Count(t, KillRounds, 3)
	Exception(t, LostEnd, 2)
	Exception(t, RolledBack, 0) // nothing to say
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []Note
	for line := range strings.Lines(string(text)) {
		var n Note
		if err := json.Unmarshal([]byte(line), &n); err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	want := []Note{{Test: t.Name(), Kind: KillRounds, N: 3}, {Test: t.Name(), Exception: LostEnd, N: 2}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The seeds of this test are in testdata/regress: they must be tried first, each time.
func TestSeedsThatFailedAreTriedAgain(t *testing.T) {
	t.Parallel()
	seeds := Seeds(t, 2)
	if *seedFlag != 0 {
		t.Skip("a seed was given")
	}
	if len(seeds) != 4 || !slices.Equal(seeds[:2], []uint64{17, 4711}) || seeds[2] == seeds[3] || seeds[2] == 0 {
		t.Errorf("got seeds %d, want 17, 4711 and two new ones", seeds)
	}
	if got := Rand(t, 17).Uint64(); got != Rand(t, 17).Uint64() {
		t.Error("the same seed gave other numbers")
	}
}

func TestParseSeed(t *testing.T) {
	t.Parallel()
	if got, err := parseSeed("17 lost the last event"); err != nil || got != 17 {
		t.Errorf("got %d and error %v, want 17", got, err)
	}
	for _, bad := range []string{"seventeen lost it", "-1 lost it", "17", "17 "} {
		if _, err := parseSeed(bad); err == nil {
			t.Errorf("line %q was accepted", bad)
		}
	}
}

func TestALaterLaneOwesNoLess(t *testing.T) {
	t.Parallel()
	for _, k := range Kinds() {
		if Owed(PullRequest)[k] == 0 {
			t.Errorf("nobody owes %s", k)
		}
		if Owed(Nightly)[k] < Owed(PullRequest)[k] || Owed(Weekly)[k] < Owed(Nightly)[k] {
			t.Errorf("a later lane owes fewer %s", k)
		}
	}
}
