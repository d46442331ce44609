package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/nexus-erp/eventstream"
)

// RunChild appends the plan of seed to a new store in dir, and writes one line to
// out for each entry that the store has acknowledged. It goes on until the plan
// ends, or until somebody kills it.
func RunChild(ctx context.Context, dir string, seed uint64, out io.Writer) (err error) {
	plan := NewPlan(seed)
	b, err := openBooks(dir, plan.Entries[0].Recorded, eventstream.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.Close()) }()
	for i := range plan.Entries {
		res, err := b.append(ctx, &plan.Entries[i])
		if err != nil {
			return err
		}
		// Written at once, not buffered: the parent counts on what it has read.
		if _, err := fmt.Fprintf(out, ackFormat, i+1, res.FirstPosition, res.LastPosition); err != nil {
			return fmt.Errorf("tell the parent: %w", err)
		}
	}
	return nil
}

// ackFormat is a line of the child's output: the entry's number, and the positions
// of its first and last event.
const ackFormat = "acknowledged %d %d %d\n"

// ack is an acknowledgement that the parent has seen.
type ack struct {
	entry       int
	first, last eventstream.Position
}

// errChildEnded is a child that ended before it was killed.
var errChildEnded = errors.New("child process ended before it could be killed")

// killAfter starts cmd, a child, kills it when it has acknowledged n entries, and
// returns all acknowledgements it got out. On Unix the signal is SIGKILL: the
// process gets no chance to tidy up.
func killAfter(cmd *exec.Cmd, n int) ([]ack, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var complaints complaint
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	acks, readErr := readAcks(out, n, cmd.Process.Kill)
	waitErr := cmd.Wait()
	switch {
	case readErr != nil:
		return nil, readErr
	case len(acks) < n || waitErr == nil:
		return nil, fmt.Errorf("%w, after %d entries (%v): %s", errChildEnded, len(acks), waitErr, complaints.String())
	}
	return acks, nil
}

// readAcks reads acknowledgements until the pipe ends, and calls kill after n. A
// last line that the kill cut off is no acknowledgement.
func readAcks(r io.Reader, n int, kill func() error) ([]ack, error) {
	var acks []ack
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return acks, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read from child: %w", errors.Join(err, kill()))
		}
		var a ack
		if _, err := fmt.Sscanf(line, ackFormat, &a.entry, &a.first, &a.last); err != nil {
			return nil, fmt.Errorf("child wrote %q: %w", line, errors.Join(err, kill()))
		}
		acks = append(acks, a)
		if len(acks) == n {
			if err := kill(); err != nil {
				return nil, fmt.Errorf("kill child: %w", err)
			}
		}
	}
}

// complaint keeps the beginning of what a child complains about.
type complaint struct{ text []byte }

func (t *complaint) Write(p []byte) (int, error) {
	t.text = append(t.text, p[:min(len(p), 4096-len(t.text))]...)
	return len(p), nil
}

func (t *complaint) String() string { return string(t.text) }
