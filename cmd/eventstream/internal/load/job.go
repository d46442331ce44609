package load

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// Job is one import. Every field but SourceID, Tags and OnBad is required.
type Job struct {
	Input    *Input
	Decode   func(io.Reader) source.Decoder
	SourceID string                  // stands for the file's digest in event ids, if it is given
	Tags     []Tag                   // metadata entries that each event is given
	SkipBad  bool                    // bad records are counted, instead of ending the import
	OnBad    func(*source.BadRecord) // is told of them in the first pass
	Progress func(bytes int)         // is told of what is read from the disk
}

// Plan is what the first pass found.
type Plan struct {
	Source  string // the file's SHA-256 in hex, or Job.SourceID
	Events  int    // that will be appended, or are in the store already
	Streams int    // distinct ones that they belong to
	Skipped int    // events that bad records stand for
	Commits int    // that they will be appended in
}

// Check reads the whole file and appends nothing. It ends with the first bad record
// unless they are skipped.
func (j *Job) Check(ctx context.Context) (Plan, error) {
	plan := Plan{}
	digest := sha256.New()
	streams := source.Streams{}
	err := j.blocks(ctx, digest, func(block source.Block) error {
		plan.Commits++
		plan.Events += len(block.Records)
		for i := range block.Records {
			streams.Add(block.Records[i].Stream, 1)
		}
		return nil
	}, func(bad *source.BadRecord) {
		plan.Skipped += bad.Events
		if j.OnBad != nil {
			j.OnBad(bad)
		}
	})
	plan.Streams = len(streams)
	plan.Source = j.SourceID
	if plan.Source == "" {
		plan.Source = hex.EncodeToString(digest.Sum(nil))
	}
	return plan, err
}

// blocks reads the file once and calls fn for each block. Everything that is read
// also goes to tee.
func (j *Job) blocks(ctx context.Context, tee io.Writer, fn func(source.Block) error, onBad func(*source.BadRecord)) (err error) {
	in, err := j.Input.open(j.Progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	decoder := j.Decode(io.TeeReader(in, tee))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		block, err := decoder.Next()
		var bad *source.BadRecord
		var syntax *source.SyntaxError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			bad.File = j.Input.Name
			if !j.SkipBad {
				return bad
			}
			onBad(bad)
		case errors.As(err, &syntax):
			syntax.File = j.Input.Name
			return syntax
		case err != nil:
			return err
		default:
			j.tag(block)
			if err := fn(block); err != nil {
				return err
			}
		}
	}
}
