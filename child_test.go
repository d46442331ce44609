package eventstream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childRole names the environment variable that makes the test binary a child, and
// childTask the one that tells it what to do.
const (
	childRole = "EVENTSTREAM_TEST_CHILD"
	childTask = "EVENTSTREAM_TEST_TASK"
)

// childFailed is the exit code of a child that could not do what it was told. A
// process that Go ends for a panic has another.
const childFailed = 3

// runChild does what role asks for and returns the exit code.
func runChild(role string) int {
	var err error
	switch role {
	case rotationRole:
		err = asChild(rotationChild)
	case damageRole:
		err = asChild(damageChild)
	case deadRole:
		err = asChild(deadChild)
	case deadRestoreRole:
		err = asChild(deadRestoreChild)
	case faultRole:
		err = asChild(faultChild)
	case victimRole:
		err = asChild(victimChild)
	case openRole:
		err = asChild(func(path string) error {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var task openTask
			if err := json.Unmarshal(text, &task); err != nil {
				return err
			}
			return openChild(task)
		})
	case refusingRole:
		err = asChild(refusingChild)
	case holderRole:
		err = asChild(holderChild)
	case sleeperRole:
		<-time.After(childPatience)
	default:
		err = fmt.Errorf("no child is called %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return childFailed
	}
	return 0
}

func asChild[T any](run func(task T) error) error {
	var task T
	if err := json.Unmarshal([]byte(os.Getenv(childTask)), &task); err != nil {
		return err
	}
	return run(task)
}

// say writes a line to the parent, at once: the next moment may be the child's last.
func say(v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = os.Stdout.Write(append(line, '\n'))
	}
	return err
}

// childPatience bounds how long a child may take. It is no measure of speed: a child
// that hangs must not hang the tests.
const childPatience = 90 * time.Second

// newChild is the test binary, to be started in another role.
func newChild(ctx context.Context, role string, task any) (*exec.Cmd, error) {
	text, err := json.Marshal(task)
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childRole+"="+role, childTask+"="+string(text))
	return child, nil
}

// listen passes on each line that a child says, until it says no more.
func listen[L any](stdout io.Reader, heard func(L)) error {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line L
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("the child said %q: %w", lines.Text(), err)
		}
		heard(line)
	}
	return lines.Err()
}

// startChild runs the test binary as a child and passes each line that it says to
// heard. death is what ended the child: "" if that was its own end, and otherwise the
// first line that it left on stderr. Only Pebble may end it: a panic of any other code is
// an error.
func startChild[L any](role string, task any, heard func(L)) (death string, err error) {
	patient, cancel := context.WithTimeout(ctx, childPatience)
	defer cancel()
	child, err := newChild(patient, role, task)
	if err != nil {
		return "", err
	}
	var stderr strings.Builder
	child.Stderr = &stderr
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGQUIT) } // it shows where it hangs
	child.WaitDelay = 5 * time.Second
	stdout, err := child.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := child.Start(); err != nil {
		return "", err
	}
	readErr := listen(stdout, heard)
	if readErr != nil {
		readErr = errors.Join(readErr, child.Process.Kill())
	}
	err = child.Wait()
	switch exit := (*exec.ExitError)(nil); {
	case patient.Err() != nil:
		return "", fmt.Errorf("the child did not end within %v:\n%s", childPatience, &stderr)
	case readErr != nil:
		return "", readErr
	case err == nil:
		return "", nil
	case errors.As(err, &exit) && exit.ExitCode() == childFailed:
		return "", fmt.Errorf("the child failed: %s", &stderr)
	case !errors.As(err, &exit):
		return "", err
	}
	death, _, _ = strings.Cut(stderr.String(), "\n")
	if death == "" {
		death = err.Error()
	} else if f := panicked(stderr.String()); !strings.HasPrefix(f, "github.com/cockroachdb/") {
		return "", fmt.Errorf("the child died in %q, and not in Pebble:\n%s", f, &stderr)
	}
	return death, nil
}

// panicked returns the function that a Go trace shows as the one that ended the process:
// the first that is not of the standard library.
func panicked(trace string) string {
	_, stack, _ := strings.Cut(trace, "\ngoroutine ")
	for line := range strings.Lines(stack) {
		host, _, found := strings.Cut(line, "/")
		if found && strings.Contains(host, ".") && !strings.ContainsAny(host, " \t(") {
			function, _, _ := strings.Cut(line, "(0x")
			return strings.TrimSpace(function)
		}
	}
	return ""
}

func TestWhoPanicked(t *testing.T) {
	t.Parallel()
	const trace = "panic: runtime error: integer divide by zero\n" +
		"[signal SIGFPE: floating-point exception]\n\ngoroutine 7 [running]:\n" +
		"panic({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:1 +0x1\n" +
		"sync.(*Mutex).Unlock(...)\n\t/usr/local/go/src/sync/mutex.go:1\n"
	for _, tt := range []struct{ frames, want string }{
		{"github.com/cockroachdb/pebble/v2.(*DB).flush(0xc00)\n\t/m/pebble/compaction.go:1 +0x1\ngithub.com/nexus-erp/eventstream.(*DB).Append(0xc0)\n", "github.com/cockroachdb/pebble/v2.(*DB).flush"},
		{"github.com/nexus-erp/eventstream.(*DB).Append(0xc0)\n\t/m/append.go:1\n", "github.com/nexus-erp/eventstream.(*DB).Append"},
		{"main.main()\n\t/m/main.go:1\n", ""},
	} {
		equal(t, "who panicked", panicked(trace+tt.frames), tt.want)
	}
	equal(t, "without a trace", panicked("signal: killed\n"), "")
}
