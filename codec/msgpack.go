package codec

import (
	"errors"
	"io"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// keepBytes bounds what a pooled encoder or decoder may hold on to: a library's
// own buffer grows to the largest string that it has seen.
const keepBytes = 64 << 10

// msgpackEncoder is a pooled encoder with the writer that it writes to.
type msgpackEncoder struct {
	enc  *msgpack.Encoder
	w    buffer
	scan scanner
	sort mapSorter
}

var msgpackEncoders = sync.Pool{New: func() any {
	e := &msgpackEncoder{enc: msgpack.NewEncoder(nil)}
	e.w.check = e.scan.feed
	return e
}}

// encodeMsgpack appends v to dst. The scanner follows the encoder, so that what
// refers to itself fails, and so that whatever is stored passes the scanner when
// it is read.
func encodeMsgpack(dst []byte, v any) (out []byte, err error) {
	if data, ok := v.(Encoded); ok {
		if err := checkMsgpack(data); err != nil {
			return nil, err
		}
		return append(dst, data...), nil
	}
	sorted := inKeyOrder(reflect.TypeOf(v))

	e := msgpackEncoders.Get().(*msgpackEncoder)
	defer e.release()
	defer caught(&err)
	e.w.reset(dst)
	e.scan = scanner{}
	e.enc.Reset(&e.w)
	e.enc.UseCompactInts(true)
	e.enc.SetSortMapKeys(true)
	if err := e.enc.Encode(v); err != nil {
		return nil, err
	}
	data := e.w.b[len(dst):]
	if err := e.scan.finish(data); err != nil {
		return nil, err
	}
	if !sorted {
		if err := e.sort.sort(data); err != nil {
			return nil, err
		}
	}
	return e.w.b, nil
}

func (e *msgpackEncoder) release() {
	small := len(e.w.b)-e.w.start <= keepBytes
	e.w.b = nil
	if small {
		msgpackEncoders.Put(e)
	}
}

// checkMsgpack checks a payload that the caller encoded. An empty one is none.
func checkMsgpack(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	var scan scanner
	if err := scan.finish(data); err != nil {
		return err
	}
	e := msgpackEncoders.Get().(*msgpackEncoder)
	defer msgpackEncoders.Put(e)
	return e.sort.distinct(data)
}

// msgpackDecoder is a pooled decoder with the reader that it reads from.
type msgpackDecoder struct {
	dec *msgpack.Decoder
	r   guardedReader
}

var msgpackDecoders = sync.Pool{New: func() any {
	return &msgpackDecoder{dec: msgpack.NewDecoder(nil)}
}}

func decodeMsgpack(data []byte, v any) (err error) {
	var scan scanner
	if err := scan.finish(data); err != nil {
		return err
	}
	var s *shape
	if t := reflect.TypeOf(v); t != nil {
		s = shapeOf(t, Msgpack)
	}
	if s != nil && (s.narrow || scan.huge) {
		if _, err := fits(data, 0, s); err != nil {
			return err
		}
	}
	d := msgpackDecoders.Get().(*msgpackDecoder)
	defer d.release()
	defer caught(&err)
	d.r = guardedReader{data: data, guard: scan.ext}
	d.dec.Reset(&d.r)
	if err := d.dec.Decode(v); err != nil {
		return err
	}
	if d.r.pos < len(data) {
		return errTrailing // a method of v's type has not read all of its value
	}
	if s != nil && s.times {
		intoUTC(reflect.ValueOf(v), s)
	}
	return nil
}

func (d *msgpackDecoder) release() {
	small := len(d.r.data) <= keepBytes
	d.r = guardedReader{}
	d.dec.Reset(nil)
	if small {
		msgpackDecoders.Put(d)
	}
}

// guardedReader feeds the decoder. Where the decoder wants a map and finds an
// extension, it takes the extension's content for the map's header, and with it a
// length that the scanner never saw: up to four billion entries. It reads such
// headers byte by byte, and content of an extension that it takes for one in
// whole; so a single byte read out of that content is refused.
type guardedReader struct {
	data  []byte
	pos   int
	guard bool  // there are extensions
	token token // the token around pos, as of the last ReadByte
}

var errExtension = errors.New("holds an extension, such as a time, where the Go type has something else")

// Read reads into p.
func (r *guardedReader) Read(p []byte) (int, error) {
	if r.pos >= len(r.data) && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, r.data[r.pos:])
	r.pos += n
	return n, nil
}

// ReadByte reads one byte.
func (r *guardedReader) ReadByte() (byte, error) {
	if r.pos >= len(r.data) {
		return 0, io.EOF
	}
	if r.guard {
		for r.pos >= r.token.end {
			t, err := readToken(r.data, r.token.end)
			if err != nil {
				return 0, err
			}
			r.token = t
		}
		if r.token.kind == kindExt && r.pos >= r.token.body {
			return 0, errExtension
		}
	}
	c := r.data[r.pos]
	r.pos++
	return c, nil
}

// UnreadByte takes back the last byte read.
func (r *guardedReader) UnreadByte() error {
	if r.pos == 0 {
		return errors.New("nothing to unread")
	}
	r.pos--
	return nil
}
