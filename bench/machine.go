package bench

import (
	"runtime"
	"strings"
)

// cpuModel takes the processor's name out of the text of /proc/cpuinfo. Where it
// names none, as on most ARM boards, the architecture stands in.
func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		name, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
