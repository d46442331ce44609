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
// first line that it left on stderr.
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
	}
	return death, nil
}
