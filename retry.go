package eventstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// The pauses between attempts of RetryOnConflict, before they are spread.
const (
	retryFirst = 500 * time.Microsecond
	retryMost  = 50 * time.Millisecond
)

// RetryOnConflict calls attempt until it returns something other than a conflict,
// or ctx ends. attempt reads the stream anew, decides anew and appends with the
// version that it read. Pauses between attempts grow from half a millisecond to 50,
// each spread at random by half, so that rivals part.
//
// If ctx ends, the error holds both ctx's and the last conflict.
func RetryOnConflict(ctx context.Context, attempt func() error) error {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := attempt()
		if !errors.Is(err, ErrConflict) {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if ctx.Err() != nil { // also if both were ready
			return errors.Join(ctx.Err(), err)
		}
	}
}
