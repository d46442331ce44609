package codec

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// form is what a Go type looks like when it is encoded.
type form uint8

const (
	formScalar  form = iota + 1 // never stored; booleans, numbers, texts
	formBytes                   // a slice or an array of bytes
	formTime                    // time.Time
	formOpaque                  // the type encodes itself
	formAny                     // an interface: whatever is in it
	formStruct                  // a map of its fields
	formList                    // a slice or an array
	formMap                     // a map
	formPointer                 // what it points to, or nil
	formNothing                 // what cannot be encoded: functions, channels
)

// shape is how values of one Go type are encoded by one codec. Shapes of types that
// refer to themselves do so too. A shape does not change once it was made.
type shape struct {
	typ    reflect.Type
	form   form
	key    *shape // of a map
	elem   *shape // of a map, a list, a pointer
	fields []shapeField
	names  map[string]*shape // of a struct's fields
	faults []string          // of a struct itself

	// narrow says that it may hold integers that a value of 64 bits with a sign does not
	// always fit; times that it may hold a time.Time.
	narrow, times bool
}

// shapeField is a field of a struct, or of one that is embedded in it.
type shapeField struct {
	name  string // as encoded
	path  string // as in Go
	index []int
	shape *shape
}

// shapeKey is what a shape belongs to: the codecs differ in names and methods.
type shapeKey struct {
	typ reflect.Type
	id  ID
}

// shapes caches shapeOf, as the library caches its encoders.
var shapes sync.Map

// shapeOf returns the shape of t under codec id.
func shapeOf(t reflect.Type, id ID) *shape {
	if known, ok := shapes.Load(shapeKey{t, id}); ok {
		return known.(*shape)
	}
	b := shapeBuilder{id: id, seen: make(map[reflect.Type]*shape)}
	s := b.build(t)
	b.spread()
	shapes.Store(shapeKey{t, id}, s)
	return s
}

// shapeBuilder makes the shapes of one type and all that it consists of.
type shapeBuilder struct {
	id   ID
	seen map[reflect.Type]*shape
}

func (b *shapeBuilder) build(t reflect.Type) *shape {
	if s := b.seen[t]; s != nil {
		return s
	}
	s := &shape{typ: t}
	b.seen[t] = s
	switch {
	case t.Kind() == reflect.Pointer: // methods of a pointer are found at what it points to
		s.form, s.elem = formPointer, b.build(t.Elem())
		return s
	case t == timeType:
		s.form, s.times = formTime, true
		return s
	case encodesItself(t, b.id):
		s.form = formOpaque
		return s
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64, reflect.Int64:
		s.form = formScalar
	case reflect.Int:
		s.form, s.narrow = formScalar, t.Bits() < 64
	case reflect.Int8, reflect.Int16, reflect.Int32,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.form, s.narrow = formScalar, true
	case reflect.Interface:
		s.form = formAny
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			s.form = formBytes
			return s
		}
		s.form, s.elem = formList, b.build(t.Elem())
	case reflect.Map:
		s.form, s.key, s.elem = formMap, b.build(t.Key()), b.build(t.Elem())
	case reflect.Struct:
		s.form = formStruct
		b.addFields(s, t, nil, "")
	default:
		s.form = formNothing
	}
	return s
}

// addFields adds the fields of t, which is s's own type or embedded in it at index.
func (b *shapeBuilder) addFields(s *shape, t reflect.Type, index []int, path string) {
	if s.names == nil {
		s.names = make(map[string]*shape)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options := b.tag(f.Tag)
		if name == "-" && options == "" {
			continue
		}
		at := append(slices.Clone(index), i)
		fault := func(format string, args ...any) {
			s.faults = append(s.faults, path+f.Name+": "+fmt.Sprintf(format, args...))
		}
		if f.Name == "_msgpack" && b.id == Msgpack {
			if hasOption(options, "as_array") || hasOption(options, "asArray") {
				fault("as_array stores values by their place: a field added or moved would change what is stored")
			}
			continue
		}
		if f.Name == "_" {
			continue
		}
		if hasOption(options, "intern") {
			fault("interned texts cannot be read by others")
		}
		if embedded := embeddedStruct(f); embedded != nil && (b.id == JSON && name == "" || b.id == Msgpack && !hasOption(options, "noinline")) && !encodesItself(embedded, b.id) {
			if !f.IsExported() && f.Type.Kind() == reflect.Pointer {
				fault("it is embedded through a pointer and not exported, so it is not decoded: export its type")
				continue
			}
			b.addFields(s, embedded, at, path+f.Name+".")
			continue
		}
		if !f.IsExported() {
			fault("it is not exported, and would be lost: export it, or tag it `%s:\"-\"` if it may be lost", b.tagKey())
			continue
		}
		if name == "" {
			name = f.Name
		}
		if s.names[name] != nil {
			fault("another field is called %q as well", name)
			continue
		}
		fs := b.build(f.Type)
		s.names[name] = fs
		if alias := optionValue(options, "alias"); alias != "" && b.id == Msgpack && s.names[alias] == nil {
			s.names[alias] = fs // read under this name too
		}
		s.fields = append(s.fields, shapeField{name: name, path: path + f.Name, index: at, shape: fs})
	}
}

// embeddedStruct returns the struct that f embeds, or nil.
func embeddedStruct(f reflect.StructField) reflect.Type {
	if !f.Anonymous {
		return nil
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == timeType {
		return nil
	}
	return t
}

func (b *shapeBuilder) tagKey() string {
	if b.id == JSON {
		return "json"
	}
	return "msgpack"
}

// tag returns a field's name and options as the codec reads them.
func (b *shapeBuilder) tag(t reflect.StructTag) (name, options string) {
	name, options, _ = strings.Cut(t.Get(b.tagKey()), ",")
	return name, options
}

func hasOption(options, want string) bool {
	return slices.Contains(strings.Split(options, ","), want)
}

// optionValue returns what follows an option's name and a colon, or "".
func optionValue(options, name string) string {
	for option := range strings.SplitSeq(options, ",") {
		if value, ok := strings.CutPrefix(option, name+":"); ok {
			return value
		}
	}
	return ""
}

// spread carries narrow and times from the parts to the whole, through types that
// refer to themselves.
func (b *shapeBuilder) spread() {
	for changed := true; changed; {
		changed = false
		for _, s := range b.seen {
			narrow, times := s.narrow, s.times
			for _, part := range s.parts() {
				narrow, times = narrow || part.narrow, times || part.times
			}
			if narrow != s.narrow || times != s.times {
				s.narrow, s.times, changed = narrow, times, true
			}
		}
	}
}

// parts returns the shapes that s consists of.
func (s *shape) parts() []*shape {
	var parts []*shape
	if s.key != nil {
		parts = append(parts, s.key)
	}
	if s.elem != nil {
		parts = append(parts, s.elem)
	}
	for i := range s.fields {
		parts = append(parts, s.fields[i].shape)
	}
	return parts
}

// methods are the interfaces through which a type encodes or decodes itself.
type methods struct{ encode, decode []reflect.Type }

var (
	msgpackMethods = methods{
		encode: []reflect.Type{customEncoderType, marshalerType, binaryType, textType},
		decode: []reflect.Type{
			reflect.TypeFor[msgpack.CustomDecoder](), reflect.TypeFor[msgpack.Unmarshaler](),
			reflect.TypeFor[encoding.BinaryUnmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
		},
	}
	jsonMethods = methods{
		encode: []reflect.Type{reflect.TypeFor[json.Marshaler](), textType},
		decode: []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()},
	}
)

func methodsOf(id ID) *methods {
	if id == JSON {
		return &jsonMethods
	}
	return &msgpackMethods
}

// encodesItself reports whether t has a method for it, or for decoding.
func encodesItself(t reflect.Type, id ID) bool {
	if t.Kind() == reflect.Interface {
		return false
	}
	m := methodsOf(id)
	return implementsAny(t, m.encode) || implementsAny(t, m.decode)
}

// implementsAny reports whether t, or a pointer to it, has the methods of one of them.
func implementsAny(t reflect.Type, interfaces []reflect.Type) bool {
	return slices.ContainsFunc(interfaces, func(i reflect.Type) bool {
		return t.Implements(i) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i)
	})
}

// check returns why values of the shape would not be what they were, once encoded
// and decoded, one text for each part at fault. exact also refuses interfaces, of
// whose content the type is lost.
func (s *shape) check(id ID, exact bool) []string {
	c := shapeChecker{id: id, exact: exact, seen: make(map[*shape]bool)}
	c.visit(s, "")
	return c.found
}

type shapeChecker struct {
	id    ID
	exact bool
	seen  map[*shape]bool
	found []string
}

func (c *shapeChecker) fault(path, format string, args ...any) {
	if path != "" {
		path += ": "
	}
	c.found = append(c.found, path+fmt.Sprintf(format, args...))
}

func (c *shapeChecker) visit(s *shape, path string) {
	if c.seen[s] {
		return
	}
	c.seen[s] = true
	switch s.form {
	case formOpaque:
		m := methodsOf(c.id)
		if !implementsAny(s.typ, m.decode) {
			c.fault(path, "%s encodes itself, and cannot decode itself", s.typ)
		} else if !implementsAny(s.typ, m.encode) {
			c.fault(path, "%s decodes itself, and cannot encode itself", s.typ)
		}
	case formAny:
		if c.exact {
			c.fault(path, "%s is an interface, and the type of what is in it would be lost", s.typ)
		} else if s.typ.NumMethod() > 0 {
			c.fault(path, "%s is an interface with methods: nobody knows what to decode", s.typ)
		}
	case formNothing:
		c.fault(path, "%s cannot be encoded", s.typ)
	case formMap:
		if c.id == JSON && !jsonKey(s.typ.Key()) {
			c.fault(path, "JSON has no keys of type %s", s.typ.Key())
		}
		c.visit(s.key, path+"[key]")
		c.visit(s.elem, path+"[]")
	case formList:
		c.visit(s.elem, path+"[]")
	case formPointer:
		c.visit(s.elem, path)
	case formStruct:
		dot := path
		if dot != "" {
			dot += "."
		}
		for _, f := range s.faults {
			c.fault("", "%s%s", dot, f)
		}
		for i := range s.fields {
			c.visit(s.fields[i].shape, dot+s.fields[i].path)
		}
	}
}

// jsonKey reports whether encoding/json writes and reads map keys of type t.
func jsonKey(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	default:
		return t.Implements(textType) && implementsAny(t, jsonMethods.decode)
	}
}
