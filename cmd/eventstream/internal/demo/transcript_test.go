package demo

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestMoney(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		cents int64
		want  string
	}{
		{0, "0.00"},
		{5, "0.05"},
		{-5, "-0.05"},
		{123456, "1,234.56"},
		{-100000000, "-1,000,000.00"},
		{math.MinInt64, "-92,233,720,368,547,758.08"},
	} {
		if got := money(tc.cents); got != tc.want {
			t.Errorf("money(%d) = %q, want %q", tc.cents, got, tc.want)
		}
	}
}

func TestATranscriptCountsItsClaims(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tr := &transcript{out: &out}
	tr.claim(true, "one is %d", 1)
	tr.claimNil(errors.New("they differ"), "two is three")
	if tr.proved != 1 || len(tr.failed) != 1 || tr.failed[0] != "two is three" {
		t.Errorf("proved %d, failed %v; want 1 and [two is three]", tr.proved, tr.failed)
	}
	want := "  ok      one is 1\n  FAILED  two is three\n          they differ\n"
	if out.String() != want {
		t.Errorf("transcript = %q, want %q", out.String(), want)
	}
}
