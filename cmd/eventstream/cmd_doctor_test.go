package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/engine"
)

func newFilledStore(t *testing.T) *program {
	t.Helper()
	p := newStore(t)
	for range 3 {
		p.must("append", "order-1", "T")
	}
	return p
}

// doctor runs doctor and returns its report without the free space, which is the
// machine's.
func (p *program) doctor(code int, args ...string) []doctorFinding {
	p.t.Helper()
	r := p.run(append([]string{"doctor", "-o", "json"}, args...)...)
	report := decode[doctorReport](p.t, r.stdout)
	var found []doctorFinding
	for _, f := range report.Findings {
		if !strings.HasSuffix(f.What, "free on the disk") {
			found = append(found, f)
		}
	}
	if r.code != code && len(found) == len(report.Findings) {
		p.t.Errorf("doctor %q: got exit code %d, want %d; %s %s", args, r.code, code, r.stdout, r.stderr)
	}
	return found
}

func TestDoctorFindsNothingInASoundStore(t *testing.T) {
	t.Parallel()
	p := newFilledStore(t)
	if found := p.doctor(exitOK); len(found) != 0 {
		t.Errorf("got %+v, want nothing", found)
	}
	if found := p.doctor(exitOK, "--fix"); len(found) != 0 {
		t.Errorf("with --fix: got %+v, want nothing", found)
	}
	if got := keysOf(t, p.run("doctor").stdout); got != "ok findings" {
		t.Errorf("got fields %s, want ok findings", got)
	}
}

func TestDoctorWarnsAndMends(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, want string }{
		"a copy of the identity damaged": {"STORE.2", "one of two copies of the identity"},
		"the mark damaged":               {"HWM", "the high-water mark is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newFilledStore(t)
			path := filepath.Join(p.dir, tt.file)
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			found := p.doctor(exitWarnings)
			if len(found) != 1 || found[0].Severity != severityWarning || !strings.Contains(found[0].What, tt.want) || !strings.Contains(found[0].Fix, "--fix") {
				t.Errorf("got %+v, want one warning of %q", found, tt.want)
			}
			if content, err := os.ReadFile(path); err != nil || string(content) != "x" {
				t.Errorf("doctor without --fix changed %s: %q, %v", tt.file, content, err)
			}
			if found := p.doctor(exitOK, "--fix"); len(found) != 0 {
				t.Errorf("with --fix: got %+v, want nothing left", found)
			}
		})
	}
}

func TestDoctorNamesLeftovers(t *testing.T) {
	t.Parallel()
	p := newFilledStore(t)
	for _, path := range []string{filepath.Join(p.dir, "STORE.tmp"), p.dir + ".partial-7"} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{nil, {"--fix"}} {
		found := p.doctor(exitWarnings, args...)
		if len(found) != 2 || !strings.Contains(found[0].What, ".partial-7") || !strings.Contains(found[1].What, "STORE.tmp") {
			t.Errorf("%q: got %+v, want both files: doctor removes nothing", args, found)
		}
	}
}

func TestDoctorReportsDamageAndChangesNothing(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, dir string){
		"the marker of the manifest gone": func(t *testing.T, dir string) { removeAll(t, filepath.Join(dir, "db", "marker.manifest.*")) },
		"all tables gone":                 func(t *testing.T, dir string) { removeAll(t, filepath.Join(dir, "db", "*.sst")) },
		"no identity left":                func(t *testing.T, dir string) { removeAll(t, filepath.Join(dir, "STORE*")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newFilledStore(t)
			damage(t, p.dir)
			for _, args := range [][]string{nil, {"--fix"}} {
				before, err := filepath.Glob(filepath.Join(p.dir, "db", "*"))
				if err != nil {
					t.Fatal(err)
				}
				found := p.doctor(exitDamage, args...)
				if len(found) == 0 || found[0].Severity != severityError || !strings.Contains(found[0].Fix, "restore a backup") {
					t.Errorf("%q: got %+v, want an error and what to do", args, found)
				}
				after, err := filepath.Glob(filepath.Join(p.dir, "db", "*"))
				if err != nil || strings.Join(after, " ") != strings.Join(before, " ") {
					t.Errorf("%q: the database's files are %v, %v, want %v", args, after, err, before)
				}
			}
		})
	}
}

func removeAll(t *testing.T, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: got %v, %v, want files", pattern, paths, err)
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDoctorOfAStoreThatIsNotThereOrInUse(t *testing.T) {
	t.Parallel()
	newProgram(t).fails(exitNotFound, "does not exist", "doctor")
	newProgram(t).fails(exitNotFound, "does not exist", "doctor", "--fix")
	p := newStore(t)
	db, err := eventstream.Open(p.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"doctor"}, {"doctor", "--fix"}} {
		p.fails(exitInUse, p.dir, args...)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDoctorWarnsOfAFullDisk(t *testing.T) {
	t.Parallel()
	for free, want := range map[uint64]int{0: exitWarnings, leastFreeBytes - 1: exitWarnings, leastFreeBytes: exitOK} {
		var report doctorReport
		describeSurvey(&engine.Survey{Mark: engine.MarkSound, FreeBytes: free, TotalBytes: 1 << 40}, &report)
		if got := report.exit(); got != want {
			t.Errorf("%d bytes free: got exit code %d, want %d: %+v", free, got, want, report)
		}
	}
}
