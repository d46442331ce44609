package load

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStdinIsReadTwiceAndLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	in, err := NewInput("-", strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for range 2 {
		r, err := in.open(func(n int) { read += n })
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || string(text) != "text" {
			t.Errorf("got %q, %v, want text", text, err)
		}
	}
	if read != 8 || in.Size != 4 {
		t.Errorf("got progress %d and size %d, want 8 and 4", read, in.Size)
	}
	if err := errors.Join(in.Close(), in.Close()); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	failing := io.MultiReader(strings.NewReader("x"), brokenReader{})
	if _, err := NewInput("-", failing); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the reader's error", err)
	}
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind after an error: %v, %v", left, err)
	}
}

var errBroken = errors.New("broken pipe")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func TestAFileThatChangesBetweenThePassesIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const line = `{"stream":"a-b-1","type":"T"}` + "\n"
	write(line)
	in, err := NewInput(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	job := Job{
		Input: in, Progress: func(int) {},
		Decode: func(r io.Reader) source.Decoder { return eventline.NewBlocks(r, source.LooseBlock) },
	}
	plan, err := job.Check(t.Context())
	if err != nil || plan.Events != 1 || plan.Streams != 1 || plan.Commits != 1 || len(plan.Source) != 64 {
		t.Errorf("got %+v, %v, want one event", plan, err)
	}
	write(line + line)
	if _, err := job.Load(t.Context(), plan, nil); err == nil || !strings.Contains(err.Error(), "the file changed while it was read") {
		t.Errorf("got %v, want that the file changed", err)
	}
}

func TestAPlainFileThatLooksLikeGzip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	for text, want := range map[string]string{"": "", "\x1f": "\x1f"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := NewInput(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := in.open(func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}
