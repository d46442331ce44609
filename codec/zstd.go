package codec

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/nexus-erp/eventstream/keys"
)

// MaxZstdBytes is the greatest length that [DecodeZstd] unpacks: twice the greatest
// append, so that every run of commits and every snapshot fits.
const MaxZstdBytes = 64 << 20

// zstdWindow is the greatest window that a frame may ask for: the decoder keeps as
// much memory.
const zstdWindow = 8 << 20

// The parts of a frame that frameLength looks at.
const (
	zstdBlockHeader = 3
	zstdBlockMost   = 128 << 10 // what one block unpacks to at most
	zstdChecksum    = 4
)

// ErrZstd is matched by every error of [DecodeZstd].
var ErrZstd error = zstdError{}

type zstdError struct{}

func (zstdError) Error() string        { return "codec: zstd frame refused" }
func (zstdError) Is(target error) bool { return target == keys.ErrEventStore }

// Frames that DecodeZstd refuses before it unpacks them.
var (
	errZstdCut       = errors.New("it is cut off")
	errZstdTrailing  = errors.New("more bytes follow it")
	errZstdSkippable = errors.New("it is a skippable frame, which holds nothing")
	errZstdDict      = errors.New("it needs a dictionary")
	errZstdBlock     = errors.New("it has a block of a reserved type or above 128 KiB")
)

// zstdEncoder is shared: EncodeAll is safe for concurrent use. It is made at its
// first use, since its tables take some hundred KiB.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(2),
		zstd.WithLowerEncoderMem(true),
		zstd.WithZeroFrames(true), // nothing is a frame too
	)
	if err != nil {
		panic(fmt.Errorf("codec: options of the zstd encoder: %w", err))
	}
	return e
})

// zstdDecoders are used by one goroutine at a time, so that concurrent readers do
// not wait for each other.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxZstdBytes),
		zstd.WithDecoderMaxWindow(zstdWindow),
		zstd.WithDecodeAllCapLimit(true), // it never grows what it is given
	)
	if err != nil {
		panic(fmt.Errorf("codec: options of the zstd decoder: %w", err))
	}
	return d
}}

// AppendZstd appends src to dst as one zstd frame, with a checksum. The frame does
// not always tell the length of src, and nobody should trust it if it does: the caller
// notes the length in a header of its own. It is safe for concurrent use.
func AppendZstd(dst, src []byte) []byte { return zstdEncoder().EncodeAll(src, dst) }

// DecodeZstd returns what [AppendZstd] packed. src is exactly one frame, which unpacks
// to exactly rawLen bytes. The result is in dst, from its start, if its capacity is
// enough, and otherwise in a new slice of rawLen bytes.
//
// rawLen comes from the caller's own header, and may be damaged as src may. It is held
// against [MaxZstdBytes], against what the frame says of itself and against what its
// blocks can hold, before anything is allocated. It is safe for concurrent use. Every
// error matches [ErrZstd].
func DecodeZstd(dst, src []byte, rawLen int) ([]byte, error) {
	if err := checkZstd(src, rawLen); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrZstd, err)
	}
	if cap(dst) < rawLen {
		dst = make([]byte, 0, rawLen)
	}
	d := zstdDecoders.Get().(*zstd.Decoder)
	raw, err := d.DecodeAll(src, dst[:0:rawLen])
	zstdDecoders.Put(d)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, fmt.Errorf("%w: it unpacks to more than %d bytes", ErrZstd, rawLen)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrZstd, err)
	case len(raw) != rawLen:
		return nil, fmt.Errorf("%w: it unpacks to %d bytes, want %d", ErrZstd, len(raw), rawLen)
	}
	return raw, nil
}

// checkZstd looks at all that a frame says before it is unpacked.
func checkZstd(src []byte, rawLen int) error {
	if rawLen < 0 || rawLen > MaxZstdBytes {
		return fmt.Errorf("a length of %d is not between 0 and %d", rawLen, MaxZstdBytes)
	}
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return err
	}
	switch {
	case h.Skippable:
		return errZstdSkippable
	case h.DictionaryID != 0:
		return errZstdDict
	case h.WindowSize > zstdWindow:
		return fmt.Errorf("it asks for a window of %d bytes, at most %d are allowed", h.WindowSize, zstdWindow)
	case h.HasFCS && h.FrameContentSize != uint64(rawLen):
		return fmt.Errorf("it says that it unpacks to %d bytes, want %d", h.FrameContentSize, rawLen)
	}
	length, most, err := zstdFrame(src, &h)
	switch {
	case err != nil:
		return err
	case length < len(src):
		return errZstdTrailing // a second frame, or what is none
	case most < rawLen:
		return fmt.Errorf("its blocks hold at most %d bytes, want %d", most, rawLen)
	}
	return nil
}

// zstdFrame walks the frame's blocks without unpacking them. It returns the frame's
// length, and how much it can unpack to.
//
//	u24 little-endian: 1 bit last, 2 bits type, 21 bits size
//	type 0: size bytes as they are   1: one byte, size times   2: size bytes, packed   3: reserved
func zstdFrame(src []byte, h *zstd.Header) (length, most int, err error) {
	at := h.HeaderSize
	for last := false; !last; {
		if len(src)-at < zstdBlockHeader {
			return 0, 0, errZstdCut
		}
		header := uint32(src[at]) | uint32(src[at+1])<<8 | uint32(src[at+2])<<16
		size := int(header >> 3)
		if size > zstdBlockMost {
			return 0, 0, errZstdBlock
		}
		last = header&1 != 0
		at += zstdBlockHeader
		switch header >> 1 & 3 {
		case 0:
			at, most = at+size, most+size
		case 1:
			at, most = at+1, most+size
		case 2:
			at, most = at+size, most+zstdBlockMost
		default:
			return 0, 0, errZstdBlock
		}
	}
	if h.HasCheckSum {
		at += zstdChecksum
	}
	if at > len(src) {
		return 0, 0, errZstdCut
	}
	return at, most, nil
}
