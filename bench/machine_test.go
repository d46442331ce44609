package bench

import (
	"runtime"
	"testing"
)

func TestCPUModel(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, cpuinfo, want string }{
		{"the model's name is taken", "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t: fpu\n", "AMD EPYC 7B13"},
		{"without one the architecture stands in", "processor\t: 0\nFeatures\t: fp asimd\n", runtime.GOARCH},
		{"no text gives the architecture", "", runtime.GOARCH},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := cpuModel(tc.cpuinfo); got != tc.want {
				t.Errorf("cpuModel = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestResidentMemoryIsKnown(t *testing.T) {
	t.Parallel()
	got, err := residentBytes()
	if err != nil {
		t.Fatal(err)
	}
	if got < 1<<20 {
		t.Errorf("resident memory = %d bytes, want at least a megabyte", got)
	}
}
