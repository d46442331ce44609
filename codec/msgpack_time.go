package codec

import (
	"reflect"
	"time"
)

// intoUTC puts the times in v, which was decoded, into UTC. The library returns them in
// the zone of the machine, so that a value would not equal the one that was encoded.
// Times behind interfaces, and those that are keys of maps, stay as they are.
func intoUTC(v reflect.Value, s *shape) {
	if !s.times {
		return
	}
	switch s.form {
	case formTime:
		v.Set(reflect.ValueOf(v.Interface().(time.Time).UTC()))
	case formPointer:
		if !v.IsNil() {
			intoUTC(v.Elem(), s.elem)
		}
	case formList:
		for i := range v.Len() {
			intoUTC(v.Index(i), s.elem)
		}
	case formMap:
		if !s.elem.times {
			return
		}
		for it := v.MapRange(); it.Next(); {
			elem := reflect.New(s.elem.typ).Elem()
			elem.Set(it.Value())
			intoUTC(elem, s.elem)
			v.SetMapIndex(it.Key(), elem)
		}
	case formStruct:
		for i := range s.fields {
			if f := &s.fields[i]; f.shape.times {
				if field, err := v.FieldByIndexErr(f.index); err == nil { // else it lies behind a nil pointer
					intoUTC(field, f.shape)
				}
			}
		}
	}
}
