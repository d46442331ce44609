package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"
)

// jsonEncoder is a pooled encoder with the writer that it writes to.
type jsonEncoder struct {
	enc *json.Encoder
	w   buffer
}

var jsonEncoders = sync.Pool{New: func() any {
	e := &jsonEncoder{}
	e.enc = json.NewEncoder(&e.w)
	e.enc.SetEscapeHTML(false)
	return e
}}

func encodeJSON(dst []byte, v any) (out []byte, err error) {
	switch v := v.(type) {
	case Encoded:
		if len(v) == 0 {
			return dst, nil
		}
		if err := checkJSON(v); err != nil {
			return nil, err
		}
		return append(dst, v...), nil
	case json.RawMessage:
		if len(v) == 0 {
			return dst, nil
		}
		if err := checkJSON(v); err != nil {
			return nil, err
		}
		return appendCompact(dst, v)
	}
	e := jsonEncoders.Get().(*jsonEncoder)
	defer func() {
		e.w.b = nil
		jsonEncoders.Put(e)
	}()
	defer caught(&err)
	e.w.reset(dst)
	if err := e.enc.Encode(v); err != nil {
		return nil, err
	}
	out = bytes.TrimSuffix(e.w.b, []byte("\n"))
	if err := checkValidJSON(out[len(dst):]); err != nil { // a nested RawMessage may hold anything
		return nil, err
	}
	return out, nil
}

// appendCompact appends valid JSON to dst, without insignificant space.
func appendCompact(dst, data []byte) ([]byte, error) {
	w := bytes.NewBuffer(dst)
	if err := json.Compact(w, data); err != nil {
		return nil, err
	}
	return w.Bytes(), nil
}

var errNotUTF8 = errors.New("JSON is not valid UTF-8")

// checkJSON checks that data is one JSON value in UTF-8 within the limits, and
// that no object has a name twice: readers differ in which of the two they see.
func checkJSON(data []byte) error {
	if !json.Valid(data) {
		return jsonFault(data)
	}
	return checkValidJSON(data)
}

func checkValidJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errNotUTF8
	}
	w := jsonWalker{in: data}
	return w.walk()
}

// jsonFault returns the parser's error on JSON that is not valid.
func jsonFault(data []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(data, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not valid JSON: at byte %d: %w", syntax.Offset, err)
	}
	return fmt.Errorf("not valid JSON: %w", err)
}

func decodeJSON(data []byte, v any) (err error) {
	defer caught(&err)
	if json.Valid(data) { // else the decoder says what is wrong
		if err := checkValidJSON(data); err != nil {
			return err
		}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return errTruncated
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}
