package xes

import "github.com/nexus-erp/eventstream/cmd/eventstream/internal/jsonobj"

// appendObject appends attributes as a JSON object, in their order. Every value is
// text exactly as written, so that no amount passes through a float; only booleans
// become true and false. An attribute with children becomes
// {"value":…,"attributes":{…}}; a list or a container becomes an array of objects
// with one member each, because its keys may repeat.
func appendObject(dst []byte, attrs []Attribute) []byte {
	dst = append(dst, '{')
	for i := range attrs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMember(dst, &attrs[i])
	}
	return append(dst, '}')
}

// appendCase adds the attributes of the case, under key, to the object in dst.
func appendCase(dst []byte, key string, attrs []Attribute) []byte {
	dst = dst[:len(dst)-1]
	if len(dst) > 1 {
		dst = append(dst, ',')
	}
	dst = jsonobj.AppendString(dst, key)
	dst = append(dst, ':')
	dst = appendObject(dst, attrs)
	return append(dst, '}')
}

func appendMember(dst []byte, a *Attribute) []byte {
	dst = jsonobj.AppendString(dst, a.Key)
	dst = append(dst, ':')
	switch {
	case a.Kind == "list" || a.Kind == "container":
		dst = append(dst, '[')
		for i := range a.Children {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '{')
			dst = appendMember(dst, &a.Children[i])
			dst = append(dst, '}')
		}
		return append(dst, ']')
	case len(a.Children) > 0:
		dst = append(dst, `{"value":`...)
		dst = appendScalar(dst, a)
		dst = append(dst, `,"attributes":`...)
		dst = appendObject(dst, a.Children)
		return append(dst, '}')
	default:
		return appendScalar(dst, a)
	}
}

func appendScalar(dst []byte, a *Attribute) []byte {
	if a.Kind == "boolean" && (a.Value == "true" || a.Value == "false") {
		return append(dst, a.Value...)
	}
	return jsonobj.AppendString(dst, a.Value)
}
