package logslab

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// Builder makes the attributes of one record from values of another map and
// new ones. Names have to be unique.
type Builder struct {
	slab *Slab
	kvs  []keyValue
	n    int
	slow pcommon.Map
}

// Begin starts b anew. The record will have at most so many attributes.
func (s *Slab) Begin(b *Builder, most int) {
	b.slab, b.n = s, 0
	if !layoutKnown {
		b.slow = pcommon.NewMap()
		b.slow.EnsureCapacity(most)
		return
	}
	if len(s.kvs) < most {
		s.kvs = make([]keyValue, max(most, min(s.HintAttrs, maxBlock)))
	}
	b.kvs = s.kvs[:most]
}

// Move takes attribute i of v along under the name key. The value is shared:
// it may move to one place only, and what it came from has to be replaced or
// left unread.
func (b *Builder) Move(key string, v *View, i int) {
	if !layoutKnown {
		v.vals[i].CopyTo(b.slow.PutEmpty(key))
		return
	}
	kv := &b.kvs[b.n]
	kv.key, kv.value = key, v.kvs[i].value
	b.n++
}

// Str adds a string.
func (b *Builder) Str(key, value string) {
	if !layoutKnown {
		b.slow.PutStr(key, value)
		return
	}
	kv := &b.kvs[b.n]
	kv.key = key
	b.slab.setString(&kv.value, value)
	b.n++
}

// Attr adds a.
func (b *Builder) Attr(a *acct.Attr) {
	if !layoutKnown {
		appendSlow(b.slow, []acct.Attr{*a})
		return
	}
	kv := &b.kvs[b.n]
	kv.key = a.Key
	b.slab.setValue(&kv.value, a)
	b.n++
}

// Strings adds an array of strings; list is copied.
func (b *Builder) Strings(key string, list ...string) {
	if !layoutKnown {
		sl := b.slow.PutEmptySlice(key)
		for _, e := range list {
			sl.AppendEmpty().SetStr(e)
		}
		return
	}
	kv := &b.kvs[b.n]
	kv.key = key
	b.n++
	s := b.slab
	elems := take(&s.elems, len(list), s.HintAttrs/4+16)
	strs := take(&s.strs, len(list), s.HintAttrs)
	copy(strs, list)
	for i := range elems {
		*(*iface)(unsafe.Pointer(&elems[i].value)) = iface{words.str, unsafe.Pointer(&strs[i])}
	}
	arr := take(&s.arrays, 1, s.HintAttrs/16+8)
	arr[0].values = elems
	ptr := take(&s.arrPtrs, 1, s.HintAttrs/16+8)
	ptr[0] = &arr[0]
	*(*iface)(unsafe.Pointer(&kv.value.value)) = iface{words.array, unsafe.Pointer(&ptr[0])}
}

// End replaces all attributes of m by those of b.
func (b *Builder) End(m pcommon.Map) {
	if !layoutKnown {
		b.slow.MoveTo(m)
		return
	}
	b.slab.kvs = b.slab.kvs[b.n:]
	*mapOrig(&m) = b.kvs[:b.n:b.n]
	b.kvs = nil
}

// Text returns the string of attribute i; ok is false when it is none.
func (v *View) Text(i int) (s string, ok bool) {
	if !layoutKnown {
		if v.vals[i].Type() != pcommon.ValueTypeStr {
			return "", false
		}
		return v.vals[i].Str(), true
	}
	f := (*iface)(unsafe.Pointer(&v.kvs[i].value.value))
	if f.typ != words.str {
		return "", false
	}
	return *(*string)(f.data), true
}
