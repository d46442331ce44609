// Command report adds up what the tests of a run counted: one line of counts, the listed
// exceptions apart. It fails if a count is below what the lane owes, or an exception is
// not one that docs/RELIABILITY.md lists.
//
//	go run ./internal/campaign/report [-lane pr|nightly|weekly] FILE
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

func main() {
	lane := flag.String("lane", os.Getenv(campaign.LaneVariable), "whose counts are owed: pr, nightly or weekly")
	flag.Parse()
	if err := run(os.Stdout, *lane, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, laneName string, args []string) error {
	lane, err := campaign.ParseLane(laneName)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return fmt.Errorf("want the path of the file of counts, got %d arguments", len(args))
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is only read
	t, err := read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return t.print(out, lane)
}

// totals are the sums of a run.
type totals struct {
	kinds      map[campaign.Kind]int
	exceptions map[string]int
}

func read(r io.Reader) (totals, error) {
	t := totals{kinds: map[campaign.Kind]int{}, exceptions: map[string]int{}}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var n campaign.Note
		if err := json.Unmarshal(lines.Bytes(), &n); err != nil {
			return t, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		if n.Exception != "" {
			t.exceptions[n.Exception] += n.N
			continue
		}
		t.kinds[n.Kind] += n.N
	}
	return t, lines.Err()
}

// print writes the line of counts and one line for each exception.
func (t totals) print(out io.Writer, lane campaign.Lane) error {
	var counts, short []string
	for _, k := range campaign.Kinds() {
		counts = append(counts, fmt.Sprintf("%d %s", t.kinds[k], k))
		if owed := campaign.Owed(lane)[k]; t.kinds[k] < owed {
			short = append(short, fmt.Sprintf("%d %s of at least %d", t.kinds[k], k, owed))
		}
	}
	fmt.Fprintf(out, "campaign (%s): %s; no loss outside the listed exceptions\n", lane, strings.Join(counts, ", "))
	listed := campaign.Exceptions()
	for _, name := range slices.Sorted(maps.Keys(t.exceptions)) {
		fmt.Fprintf(out, "listed exception: %s: %d\n", name, t.exceptions[name])
		if !slices.Contains(listed, name) {
			short = append(short, fmt.Sprintf("an exception that is not listed: %s", name))
		}
	}
	if short != nil {
		return fmt.Errorf("%s lane: %s", lane, strings.Join(short, "; "))
	}
	return nil
}
