package demo

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAcknowledgementsAreReadUntilTheKill(t *testing.T) {
	t.Parallel()
	kills := 0
	in := strings.NewReader("acknowledged 1 1 5\nacknowledged 2 6 6\nacknowledged 3 7 12\nacknowl")
	got, err := readAcks(in, 2, func() error { kills++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	// The third came through before the kill took effect; the fourth was cut off.
	want := []ack{{1, 1, 5}, {2, 6, 6}, {3, 7, 12}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(ack{})); diff != "" || kills != 1 {
		t.Errorf("killed %d times, acknowledgements (-want +got):\n%s", kills, diff)
	}
}

func TestAChildThatBabblesIsKilled(t *testing.T) {
	t.Parallel()
	killed := false
	_, err := readAcks(strings.NewReader("hello\n"), 2, func() error { killed = true; return nil })
	if err == nil || !strings.Contains(err.Error(), "hello") || !killed {
		t.Errorf("readAcks = %v, killed %v; want an error that quotes the line, and a kill", err, killed)
	}
}

func TestAKillThatFailsIsReported(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	if _, err := readAcks(strings.NewReader("acknowledged 1 1 5\n"), 1, func() error { return boom }); !errors.Is(err, boom) {
		t.Errorf("readAcks = %v, want %v", err, boom)
	}
}
