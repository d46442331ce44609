package eventstream_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
)

// damageRole is a child that damages a store in memory in one way after the other: the
// store may end its process, or leave goroutines behind.
const damageRole = "damage"

type damageTask struct {
	Path          string // of the specimen
	First, Stride int
}

// damageChunk is how many damages one child tries: what abandoned stores leave behind
// goes away with it.
const damageChunk = 50

func damageChild(task damageTask) error {
	text, err := os.ReadFile(task.Path)
	if err != nil {
		return err
	}
	var s specimen
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	whole, err := memOf(s.Files)
	if err != nil {
		return err
	}
	db, err := eventstream.Open("store", specimenOptions(whole))
	if err != nil {
		return err
	}
	j := &judge{specimen: &s}
	if j.want, err = j.read(db); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	all := s.Damages
	for i, tried := task.First, 0; i < len(all) && tried < damageChunk; i, tried = i+task.Stride, tried+1 {
		j.damage, j.files = all[i], all[i].apply(&s)
		files, err := memOf(j.files)
		if err != nil {
			return err
		}
		v := j.judge(files)
		v.Index = i
		if err := say(v); err != nil {
			return err
		}
	}
	return nil
}

func memOf(files image) (*vfs.MemFS, error) {
	fs := vfs.NewMem()
	for path, content := range files {
		path = "store/" + path
		if err := fs.MkdirAll(fs.PathDir(path), 0o700); err != nil {
			return nil, err
		}
		f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(bytes.Clone(content)); err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return fs, nil
}

// reading is everything that a store can be asked: what each way of reading gave.
type reading map[string][]string

// judge compares a damaged store with the whole one.
type judge struct {
	specimen *specimen
	want     reading
	damage   damage
	files    image // with the damage done
}

// judgePatience is when a call counts as hanging.
const judgePatience = 30 * time.Second

func (j *judge) judge(fs *vfs.MemFS) verdict {
	done := make(chan verdict, 1)
	go func() { done <- j.try(fs) }()
	patience := time.NewTimer(judgePatience)
	defer patience.Stop()
	select {
	case v := <-done:
		return v
	case <-patience.C:
		return verdict{Outcome: outcomeHang}
	}
}

func (j *judge) try(fs *vfs.MemFS) verdict {
	db, err := eventstream.Open("store", specimenOptions(fs))
	if err != nil {
		if !typed(err) {
			return verdict{Outcome: outcomeUntyped, Detail: err.Error()}
		}
		return j.refused(fs, err)
	}
	got, err := j.read(db)
	if err != nil && !typed(err) {
		return verdict{Outcome: outcomeUntyped, Detail: err.Error()}
	}
	report, checkErr := db.Check(ctx, eventstream.Deep())
	found := err != nil || checkErr != nil || !report.OK()
	if checkErr != nil && !typed(checkErr) {
		return verdict{Outcome: outcomeUntyped, Detail: "check: " + checkErr.Error()}
	}
	short := j.short(got)
	if err := db.Close(); err != nil && !found && short == "" {
		return verdict{Outcome: outcomeUntyped, Detail: "close: " + err.Error()}
	}
	switch {
	case short == "" && err == nil:
		return verdict{Outcome: outcomeExact, Detail: problems(&report)} // what is derived may be being repaired
	case short == "":
		return verdict{Outcome: outcomeReported, Detail: err.Error()}
	case !found && j.listed(got):
		return verdict{Outcome: outcomeListed, Detail: short}
	case found:
		return verdict{Outcome: outcomeVerify, Detail: short + "; " + problems(&report)}
	default:
		return verdict{Outcome: outcomeSilent, Detail: short}
	}
}

func problems(r *eventstream.Report) string {
	if r.OK() {
		return ""
	}
	return fmt.Sprintf("%d problems, the first %+v", len(r.Problems), r.Problems[0])
}

// typed reports whether a user can tell what err is.
func typed(err error) bool {
	for _, kind := range []error{eventstream.ErrCorrupt, eventstream.ErrNotAStore, eventstream.ErrFormatTooNew} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// read asks the store for everything. A way of reading that fails is left out, and
// the first error is returned with what the others gave.
func (j *judge) read(db *eventstream.DB) (reading, error) {
	got := make(reading)
	var first error
	ask := func(how string, lines []string, err error) {
		if err == nil {
			got[how] = lines
		} else if first == nil {
			first = fmt.Errorf("%s: %w", how, err)
		}
	}
	all, err := lines(collect(db.ReadAll(ctx)))
	ask("all", all, err)
	backward, err := lines(collect(db.ReadAll(ctx, eventstream.Backward())))
	slices.Reverse(backward)
	ask("backward", backward, err)
	var streams []string
	for info, err := range db.Streams(ctx, "") {
		if err != nil {
			ask("streams", nil, err)
			streams = nil
			break
		}
		streams = append(streams, fmt.Sprintf("%s %d", info.Stream, info.Version))
	}
	if streams != nil {
		got["streams"] = streams
	}
	for _, name := range j.names(db) {
		events, err := lines(collect(db.ReadStream(ctx, name)))
		ask("stream "+string(name), events, err)
	}
	ask("head", []string{fmt.Sprint(db.Head())}, nil)
	return got, first
}

// names returns the streams that the whole store has.
func (j *judge) names(db *eventstream.DB) []eventstream.StreamID {
	if j.want == nil {
		var names []eventstream.StreamID
		for info, err := range db.Streams(ctx, "") {
			if err == nil {
				names = append(names, info.Stream)
			}
		}
		return names
	}
	var names []eventstream.StreamID
	for how := range j.want {
		if len(how) > 7 && how[:7] == "stream " {
			names = append(names, eventstream.StreamID(how[7:]))
		}
	}
	slices.Sort(names)
	return names
}

func lines(events []eventstream.Event, err error) ([]string, error) {
	all := make([]string, len(events))
	for i := range events {
		all[i] = describe(&events[i])
	}
	return all, err
}

// short tells the first way of reading that gave something else than the whole store
// does, without an error.
func (j *judge) short(got reading) string {
	for _, how := range slices.Sorted(mapKeys(got)) {
		if want := j.want[how]; !slices.Equal(got[how], want) {
			return fmt.Sprintf("%s: got %d lines %.200v, want %d", how, len(got[how]), last(got[how]), len(want))
		}
	}
	return ""
}

func last(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}

// listed reports whether a shorter store is one of the cases in which nobody can know:
// what is there is whole, from the first event on, and reaches beyond the high-water
// mark, or the whole store is an older one.
func (j *judge) listed(got reading) bool {
	all, want := got["all"], j.want["all"]
	return len(all) < len(want) && slices.Equal(all, want[:len(all)]) &&
		(eventstream.Position(len(all)) >= j.specimen.Marked || j.damage.What == "rollback")
}

// refused judges a store that was refused with a typed error: nothing in it may have
// changed.
func (j *judge) refused(fs *vfs.MemFS, refusal error) verdict {
	for path, want := range j.files {
		if got, err := contentOf(fs, "store/"+path); err != nil || !bytes.Equal(got, want) {
			return verdict{Outcome: outcomeChanged, Detail: fmt.Sprintf("%s: %v, after %v", path, err, refusal)}
		}
	}
	return j.salvaged(fs, refusal)
}

// salvaged holds salvage to what it promises: what it gives is right, and it names
// exactly what is missing.
func (j *judge) salvaged(fs *vfs.MemFS, refusal error) verdict {
	wrong := func(format string, args ...any) verdict {
		return verdict{Outcome: outcomeSalvage, Detail: fmt.Sprintf(format, args...)}
	}
	s, err := eventstream.OpenSalvage(ctx, "store", &eventstream.SalvageOptions{FS: fs})
	if err != nil {
		return wrong("%v", err)
	}
	events, err := collect(s.ReadAll(ctx))
	if err := errors.Join(err, s.Close()); err != nil {
		return wrong("%v", err)
	}
	want, missing := j.want["all"], s.Missing()
	next, nameless := eventstream.Position(1), false
	for i := range events {
		e := &events[i]
		for ; len(missing) > 0 && missing[0].From == next && missing[0].To < e.Position; missing = missing[1:] {
			next = missing[0].To + 1
		}
		if e.Position != next || int(next) > len(want) {
			return wrong("position %d where %d should follow, or a hole be named; missing are %v", e.Position, next, s.Missing())
		}
		if e.Tenant == "tenant-1" { // its name is lost, and that is told
			e.Tenant, nameless = eventstream.DefaultTenant, true
		}
		if got := describe(e); got != want[next-1] {
			return wrong("position %d: got %s, want %s", next, got, want[next-1])
		}
		next++
	}
	for ; len(missing) > 0 && missing[0].From == next; missing = missing[1:] {
		next = missing[0].To + 1
	}
	if len(missing) > 0 {
		return wrong("missing are %v of %d", s.Missing(), len(want))
	}
	if reached := next - 1; reached < j.specimen.Marked && !slices.Contains([]string{"HWM", "STORE", "STORE.2"}, j.damage.File) {
		return wrong("it knows of %d positions, marked are %d", reached, j.specimen.Marked)
	}
	told := slices.ContainsFunc(s.Problems(), func(p eventstream.Problem) bool { return p.Kind == eventstream.ProblemTenant })
	if nameless != told {
		return wrong("a tenant's name is lost: %v, and named as lost: %v", nameless, told)
	}
	if lost := len(want) - len(events); lost > 0 || nameless {
		return verdict{Outcome: outcomeLost, Detail: fmt.Sprintf("%d events lost, after %v", lost, refusal)}
	}
	return verdict{Outcome: outcomeRefused, Detail: refusal.Error()}
}

func contentOf(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Close())
}
