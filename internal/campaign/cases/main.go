// Command cases lists the catalogue of what may happen to a store, and runs the tests of
// one case.
//
//	go run ./internal/campaign/cases [-lane pr|nightly|weekly]
//	go run ./internal/campaign/cases [-lane pr|nightly|weekly] NAME
//
// A case is named by its name or its number. It runs in the lane that is given, or else
// in the first one that it belongs to, since the lane says how much its tests try.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

func main() {
	lane := flag.String("lane", os.Getenv(campaign.LaneVariable), "the lane: pr, nightly or weekly")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p := program{out: os.Stdout, goTest: goTest}
	if err := p.run(ctx, *lane, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "cases:", err)
		os.Exit(1)
	}
}

// program is the command, with what it needs of its surroundings.
type program struct {
	out io.Writer
	// goTest runs go test with these arguments and this lane.
	goTest func(ctx context.Context, lane campaign.Lane, args []string) error
}

func goTest(ctx context.Context, lane campaign.Lane, args []string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test"}, args...)...)
	cmd.Env = append(os.Environ(), campaign.LaneVariable+"="+lane.String())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

func (p program) run(ctx context.Context, laneName string, args []string) error {
	lane, err := campaign.ParseLane(laneName)
	if err != nil {
		return err
	}
	switch len(args) {
	case 0:
		p.list(lane)
		return nil
	case 1:
	default:
		return fmt.Errorf("want the name of one case, got %d", len(args))
	}
	c, err := campaign.Find(args[0])
	if err != nil {
		return err
	}
	if laneName == "" {
		lane = c.Lanes[0]
	}
	if !c.In(lane) {
		return fmt.Errorf("%s is not of the %s lane, but of %s", c.Name, lane, lanes(c.Lanes))
	}
	return p.try(ctx, c, lane)
}

// list prints the cases of a lane: number, name, lanes, and where their tests are.
func (p program) list(lane campaign.Lane) {
	for _, c := range campaign.Catalogue() {
		if !c.In(lane) {
			continue
		}
		fmt.Fprintf(p.out, "%2d  %-45s  %s\n", c.Number, c.Name, lanes(c.Lanes))
		if c.Without != "" {
			fmt.Fprintf(p.out, "    none: %s\n", c.Without)
		}
		for _, t := range c.Tests {
			fmt.Fprintf(p.out, "    ./%s  %s\n", t.Package, strings.Join(t.Names, " "))
		}
	}
}

// try runs the tests of a case, all of them whatever some say.
func (p program) try(ctx context.Context, c campaign.Case, lane campaign.Lane) error {
	if c.Without != "" {
		return fmt.Errorf("%s has no tests: %s", c.Name, c.Without)
	}
	var failed error
	for _, t := range c.Tests {
		args := []string{"./" + t.Package, "-run", t.Pattern(), "-count=1", "-v"}
		if lane > campaign.PullRequest {
			args = append(args, "-timeout=0") // how long is the lane's
		}
		fmt.Fprintf(p.out, "%s=%s go test %s\n", campaign.LaneVariable, lane, strings.Join(args, " "))
		if err := p.goTest(ctx, lane, args); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s in ./%s: %w", c.Name, t.Package, err))
		}
	}
	return failed
}

func lanes(all []campaign.Lane) string {
	names := make([]string, len(all))
	for i, lane := range all {
		names[i] = lane.String()
	}
	return strings.Join(names, ",")
}
