package logslab

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// View gives access to the attributes of one record by position, without
// searching. It is valid until attributes are added or removed.
type View struct {
	m    pcommon.Map
	kvs  []keyValue
	keys []string        // by the slow path only
	vals []pcommon.Value // by the slow path only
	// texts are the strings, nil for other values, by the slow path only.
	texts []*string
}

// Reset makes v show m.
func (v *View) Reset(m pcommon.Map) {
	v.m = m
	if layoutKnown {
		v.kvs = *mapOrig(&m)
		return
	}
	v.resetSlow()
}

func (v *View) resetSlow() {
	v.keys, v.vals, v.texts = v.keys[:0], v.vals[:0], v.texts[:0]
	for k, val := range v.m.All() {
		var text *string
		if val.Type() == pcommon.ValueTypeStr {
			s := val.Str()
			text = &s
		}
		v.keys, v.vals, v.texts = append(v.keys, k), append(v.vals, val), append(v.texts, text)
	}
}

// Len returns the number of attributes.
func (v *View) Len() int {
	if layoutKnown {
		return len(v.kvs)
	}
	return len(v.keys)
}

// Key returns the name of attribute i.
func (v *View) Key(i int) string {
	if layoutKnown {
		return v.kvs[i].key
	}
	return v.keys[i]
}

// HasKeys reports whether the names are exactly keys, in that order.
func (v *View) HasKeys(keys []string) bool {
	if !layoutKnown {
		if len(v.keys) != len(keys) {
			return false
		}
		for i, k := range keys {
			if v.keys[i] != k {
				return false
			}
		}
		return true
	}
	if len(v.kvs) != len(keys) {
		return false
	}
	for i, k := range keys {
		// Names mostly are one constant, so the pointers agree.
		if have := v.kvs[i].key; unsafe.StringData(have) != unsafe.StringData(k) || len(have) != len(k) {
			if have != k {
				return false
			}
		}
	}
	return true
}

// Place is a number by which attributes with the same names in the same order
// find together, as long as the names are the same strings in memory, which
// those of one component are.
func (v *View) Place() (h uint64) {
	if !layoutKnown {
		return uint64(len(v.keys))
	}
	k := uint64(0x9e3779b97f4a7c15)
	for i := range v.kvs {
		h += uint64(uintptr(unsafe.Pointer(unsafe.StringData(v.kvs[i].key)))) * k
		k += 0x9e3779b97f4a7c16 // so that the order matters
	}
	return h ^ h>>32
}

// Value returns the value of attribute i.
func (v *View) Value(i int) pcommon.Value {
	if !layoutKnown {
		return v.vals[i]
	}
	h := valueHeader{orig: &v.kvs[i].value, state: (*mapHeader)(unsafe.Pointer(&v.m)).state}
	return *(*pcommon.Value)(unsafe.Pointer(&h))
}

// Str returns the string of attribute i, "" when it is no string.
func (v *View) Str(i int) string {
	if !layoutKnown {
		if v.vals[i].Type() != pcommon.ValueTypeStr {
			return ""
		}
		return v.vals[i].Str()
	}
	f := (*iface)(unsafe.Pointer(&v.kvs[i].value.value))
	if f.typ != words.str {
		return ""
	}
	return *(*string)(f.data)
}

// Int returns the integer of attribute i; ok is false when it is none.
func (v *View) Int(i int) (n int64, ok bool) {
	if !layoutKnown {
		if v.vals[i].Type() != pcommon.ValueTypeInt {
			return 0, false
		}
		return v.vals[i].Int(), true
	}
	f := (*iface)(unsafe.Pointer(&v.kvs[i].value.value))
	if f.typ != words.i64 {
		return 0, false
	}
	return *(*int64)(f.data), true
}

// SetStr sets attribute i to a string.
func (s *Slab) SetStr(v *View, i int, str string) {
	if !layoutKnown {
		v.vals[i].SetStr(str)
		v.texts[i] = &str
		return
	}
	s.setString(&v.kvs[i].value, str)
}
