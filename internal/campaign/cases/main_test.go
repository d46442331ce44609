package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

// recorder is a program whose tests are only noted.
type recorder struct {
	program
	out   strings.Builder
	lanes []campaign.Lane
	runs  [][]string
	fails error
}

func newRecorder() *recorder {
	r := &recorder{}
	r.program = program{out: &r.out, goTest: func(_ context.Context, lane campaign.Lane, args []string) error {
		r.lanes, r.runs = append(r.lanes, lane), append(r.runs, args)
		return r.fails
	}}
	return r
}

func TestTheCasesOfALaneAreListed(t *testing.T) {
	t.Parallel()
	for lane, want := range map[string]map[string]bool{
		"pr":      {"cursor_tamper": true, "disk_full_real": false, "power_cut_dmflakey": false},
		"nightly": {"cursor_tamper": true, "disk_full_real": true, "power_cut_dmflakey": false},
		"weekly":  {"cursor_tamper": true, "disk_full_real": true, "power_cut_dmflakey": true},
	} {
		r := newRecorder()
		if err := r.run(t.Context(), lane, nil); err != nil {
			t.Fatal(err)
		}
		for name, listed := range want {
			if got := strings.Contains(r.out.String(), "  "+name+" "); got != listed {
				t.Errorf("%s in the %s lane: listed %v, want %v", name, lane, got, listed)
			}
		}
	}
	r := newRecorder()
	if err := r.run(t.Context(), "pr", nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"56  cursor_tamper ", "pr\n", "    ./cursor  TestATokenThatWasChangedIsRefused ",
		"70  crypto_shred ", "    none: payloads are not encrypted yet",
	} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("%q is not in the list:\n%s", want, &r.out)
		}
	}
}

func TestTheTestsOfACaseAreRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lane string
		want campaign.Lane
		args []string
	}{
		{"", campaign.PullRequest, []string{"./.", "-run", "^(TestAStoreOfFormat1Opens)$", "-count=1", "-v"}},
		{"nightly", campaign.Nightly, []string{"./.", "-run", "^(TestAStoreOfFormat1Opens)$", "-count=1", "-v", "-timeout=0"}},
	} {
		r := newRecorder()
		if err := r.run(t.Context(), c.lane, []string{"upgrade_corpus"}); err != nil {
			t.Fatal(err)
		}
		if len(r.runs) == 0 || r.lanes[0] != c.want || !slices.Equal(r.runs[0], c.args) {
			t.Errorf("lane %q: got %v in the lanes %v, want %v in %s", c.lane, r.runs, r.lanes, c.args, c.want)
		}
	}
}

// A nightly case is run as it is at night, unless another lane is asked for.
func TestACaseRunsInItsFirstLane(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	if err := r.run(t.Context(), "", []string{"disk_full_real"}); err != nil || len(r.lanes) != 1 || r.lanes[0] != campaign.Nightly {
		t.Errorf("got the lanes %v and error %v, want nightly", r.lanes, err)
	}
}

func TestAllTestsOfACaseAreRunWhateverSomeSay(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	r.fails = errors.New("exit status 1")
	err := r.run(t.Context(), "", []string{"cursor_tamper"})
	if !errors.Is(err, r.fails) || !strings.Contains(err.Error(), "./cursor") {
		t.Errorf("got error %v, want one that names the package", err)
	}
	if len(r.runs) < 2 {
		t.Errorf("got the runs %v, want one for each package", r.runs)
	}
}

func TestWhatCannotBeRunIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, lane string
		args       []string
		want       string
	}{
		{"a case that is not there", "", []string{"crash"}, `no case is called "crash"`},
		{"a case without tests", "", []string{"crypto_shred"}, "has no tests: payloads"},
		{"a case of a later lane", "pr", []string{"disk_full_real"}, "not of the pr lane, but of nightly"},
		{"two cases", "", []string{"1", "2"}, "one case, got 2"},
		{"an unknown lane", "daily", nil, "want pr, nightly or weekly"},
	} {
		r := newRecorder()
		if err := r.run(t.Context(), c.lane, c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.what, err, c.want)
		}
		if len(r.runs) > 0 {
			t.Errorf("%s: %v was run", c.what, r.runs)
		}
	}
}
