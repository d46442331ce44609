package engine

import (
	"encoding/binary"
	"hash/crc32"
)

// A manifest is a sequence of records in blocks of 32 KiB. A record is one chunk, or
// a first, any number of middle and a last one. A chunk stays within a block; what is
// too small at a block's end for another is zero.
//
//	┌───────────────┬───────────┬──────┬───────────
//	│ checksum, u32 │ size, u16 │ type │ payload …      little-endian
//	└───────────────┴───────────┴──────┴───────────
//
// Pebble takes the first chunk that does not fit this for the end. It never writes a
// new manifest over an old one, so nothing valid follows the true end.
const (
	chunkFull   = 1
	chunkFirst  = 2
	chunkMiddle = 3
	chunkLast   = 4

	chunkHeaderLen    = 7
	manifestBlockLen  = 32 << 10
	longestZeroHeader = 19 // a zero header this close to a block's end is padding to Pebble
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// manifestScan is what scanManifest found.
type manifestScan struct {
	records int  // whole ones before end
	end     int  // where the last whole record ends, or the file if all of it is sound
	damaged bool // something valid follows end
}

// scanManifest reads the records of a manifest as Pebble does, and goes on behind the
// place where Pebble would stop.
func scanManifest(b []byte) manifestScan {
	var s manifestScan
	within := false // a record, behind its first chunk
	for o := 0; o < len(b); {
		left := manifestBlockLen - o%manifestBlockLen
		if left < chunkHeaderLen || left < longestZeroHeader && allZero(b[o:min(o+left, len(b))]) {
			o = min(o+left, len(b))
			if !within {
				s.end = o
			}
			continue
		}
		kind, n := chunkAt(b, o)
		starts := kind == chunkFull || kind == chunkFirst
		if kind == 0 || starts == within {
			s.damaged = kind != 0 || chunkFollows(b, o+1)
			return s
		}
		o += n
		within = kind == chunkFirst || kind == chunkMiddle
		if !within {
			s.records++
			s.end = o
		}
	}
	return s
}

// chunkAt returns the type and the length of the chunk at o, or a type of 0 if there
// is none that is whole.
func chunkAt(b []byte, o int) (kind byte, n int) {
	end := min((o/manifestBlockLen+1)*manifestBlockLen, len(b))
	if o+chunkHeaderLen > end {
		return 0, 0
	}
	kind = b[o+6]
	n = chunkHeaderLen + int(binary.LittleEndian.Uint16(b[o+4:]))
	if kind < chunkFull || kind > chunkLast || o+n > end {
		return 0, 0
	}
	sum := crc32.Checksum(b[o+6:o+n], castagnoli)
	if binary.LittleEndian.Uint32(b[o:]) != (sum>>15|sum<<17)+0xa282ead8 {
		return 0, 0
	}
	return kind, n
}

// chunkFollows reports whether a whole chunk begins anywhere from o on.
func chunkFollows(b []byte, o int) bool {
	for ; o+chunkHeaderLen <= len(b); o++ {
		if kind, _ := chunkAt(b, o); kind != 0 {
			return true
		}
	}
	return false
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
