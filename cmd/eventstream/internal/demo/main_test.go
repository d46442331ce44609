package demo

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// The variables that turn the test binary into the demo's child process.
const (
	childDir  = "EVENTSTREAM_DEMO_CHILD_DIR"
	childSeed = "EVENTSTREAM_DEMO_CHILD_SEED"
	childRole = "EVENTSTREAM_DEMO_CHILD_ROLE" // "projector", or nothing
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		seed, err := strconv.ParseUint(os.Getenv(childSeed), 10, 64)
		role := RunChild
		if os.Getenv(childRole) == "projector" {
			role = RunProjector
		}
		if err == nil {
			err = role(context.Background(), dir, seed, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
