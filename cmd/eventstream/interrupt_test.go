package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestAnInterruptEndsTheProgramWithItsOwnCode(t *testing.T) {
	t.Parallel()
	p := fill(t)
	child := exec.Command(os.Args[0], "tail", "-f", "--dir", p.dir)
	child.Env = append(os.Environ(), childVariable+"=1")
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	shown := bufio.NewScanner(out)
	for range 6 { // after the last event that there is, it waits for more
		if !shown.Scan() {
			t.Fatalf("the program ended: %s", stderr.String())
		}
	}
	p.fails(exitInUse, p.dir, "all") // it holds the store meanwhile
	if err := child.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if shown.Scan() {
		t.Errorf("got another line %q", shown.Text())
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("got %v, want exit code 7", err)
	}
	if !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("got stderr %q, want that it was interrupted", stderr.String())
	}
	p.must("all")
}
