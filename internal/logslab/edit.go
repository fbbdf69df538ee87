package logslab

import (
	"slices"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Editor changes the attributes of one record by position: what stays as it is
// costs nothing, and values move and are shared instead of being made again.
// Names have to be unique at the end.
//
// A *string stands for a string value that any number of records may share. It
// must never be written again.
type Editor struct {
	slab  *Slab
	n     int        // positions in use
	kvs   []keyValue // with those that may be added
	holes []int
	state unsafe.Pointer
	apart bool // every value is one of its own
	slow  []slowAttr
}

type slowAttr struct {
	key   string
	value pcommon.Value
}

// Edit begins with the attributes that v shows, to which at most so many will
// be added. What v shows may change from now on; v itself must not.
func (s *Slab) Edit(e *Editor, v *View, add int) {
	e.slab, e.holes, e.n = s, e.holes[:0], v.Len()
	if !layoutKnown {
		e.slow = e.slow[:0]
		for i, k := range v.keys {
			val := pcommon.NewValueEmpty()
			v.vals[i].CopyTo(val)
			e.slow = append(e.slow, slowAttr{k, val})
		}
		for range add {
			e.slow = append(e.slow, slowAttr{"", pcommon.NewValueEmpty()})
		}
		return
	}
	e.state = (*mapHeader)(unsafe.Pointer(&v.m)).state
	if n := e.n + add; cap(v.kvs) >= n {
		e.kvs = v.kvs[:n]
	} else {
		e.kvs = take(&s.kvs, n, s.HintAttrs)
		copy(e.kvs, v.kvs)
	}
}

// Apart makes an Editor give every record values of its own. It has to be set
// when pdata pools values, see [Pooling], and costs some time.
func (e *Editor) Apart(on bool) { e.apart = on }

// Pooling reports whether pdata pools values, an experiment behind a feature
// gate, which forbids to share them.
func Pooling() bool { return pooling() }

// Add makes a new position, the value of which is to be set at once.
func (e *Editor) Add() int {
	e.n++
	return e.n - 1
}

// Drop removes what is at position i, which nothing is to be set at any more.
// Until End it can still be read.
func (e *Editor) Drop(i int) { e.holes = append(e.holes, i) }

// Rename changes the name at position i.
func (e *Editor) Rename(i int, key string) {
	if !layoutKnown {
		e.slow[i].key = key
		return
	}
	e.kvs[i].key, e.kvs[i].strindex = key, 0
}

// Text sets position i to a string that may be shared.
func (e *Editor) Text(i int, key string, s *string) {
	if !layoutKnown || e.apart {
		e.slowSet(i, key, s)
		return
	}
	kv := &e.kvs[i]
	kv.key, kv.strindex = key, 0
	*(*iface)(unsafe.Pointer(kv)) = iface{words.str, unsafe.Pointer(s)}
}

func (e *Editor) slowSet(i int, key string, s *string) {
	if !layoutKnown {
		e.slow[i].key = key
		e.slow[i].value.SetStr(*s)
		return
	}
	e.kvs[i].key, e.kvs[i].strindex = key, 0
	e.slab.setString(&e.kvs[i].value, *s)
}

// Texts sets position i to a list of strings that may be shared.
func (e *Editor) Texts(i int, key string, list ...*string) {
	if !layoutKnown {
		e.slow[i].key = key
		sl := e.slow[i].value.SetEmptySlice()
		for _, s := range list {
			sl.AppendEmpty().SetStr(*s)
		}
		return
	}
	s := e.slab
	e.kvs[i].key, e.kvs[i].strindex = key, 0
	out := (*iface)(unsafe.Pointer(&e.kvs[i].value.value))
	if len(list) == 1 {
		t := list[0]
		if e.apart {
			t = s.Text(*t)
		}
		l := &takeFew(&s.singles, 1, s.few())[0]
		*(*iface)(unsafe.Pointer(&l.elem.value)) = iface{words.str, unsafe.Pointer(t)}
		l.arr.values = unsafe.Slice(&l.elem, 1)
		l.ptr = &l.arr
		*out = iface{words.array, unsafe.Pointer(l)}
		return
	}
	var head *listHead
	var elems []anyValue
	if len(list) == 2 {
		l := &takeFew(&s.pairs, 1, s.few())[0]
		head, elems = &l.listHead, l.elems[:]
	} else {
		elems = takeFew(&s.elems, len(list), 4*s.few())
		head = &takeFew(&s.heads, 1, s.few())[0]
	}
	for i, t := range list {
		if e.apart {
			t = s.Text(*t)
		}
		*(*iface)(unsafe.Pointer(&elems[i])) = iface{words.str, unsafe.Pointer(t)}
	}
	head.arr.values, head.ptr = elems, &head.arr
	*out = iface{words.array, unsafe.Pointer(head)}
}

// Int sets position i to a number.
func (e *Editor) Int(i int, key string, n int64) {
	if !layoutKnown {
		e.slow[i].key = key
		e.slow[i].value.SetInt(n)
		return
	}
	e.kvs[i].key, e.kvs[i].strindex = key, 0
	p := takeFew(&e.slab.i64s, 1, e.slab.few())
	p[0] = n
	*(*iface)(unsafe.Pointer(&e.kvs[i].value.value)) = iface{words.i64, unsafe.Pointer(&p[0])}
}

// Double sets position i to a number.
func (e *Editor) Double(i int, key string, f float64) {
	if !layoutKnown {
		e.slow[i].key = key
		e.slow[i].value.SetDouble(f)
		return
	}
	e.kvs[i].key, e.kvs[i].strindex = key, 0
	p := take(&e.slab.f64s, 1, 32)
	p[0] = f
	*(*iface)(unsafe.Pointer(&e.kvs[i].value.value)) = iface{words.f64, unsafe.Pointer(&p[0])}
}

// Value sets position i to the value of attribute at of v. What can be changed
// in place, lists above all, is copied.
func (e *Editor) Value(i int, key string, v *View, at int) {
	if !layoutKnown {
		e.slow[i].key = key
		v.vals[at].CopyTo(e.slow[i].value)
		return
	}
	e.kvs[i].key, e.kvs[i].strindex = key, 0
	from := &v.kvs[at].value
	if !e.apart {
		switch (*iface)(unsafe.Pointer(&from.value)).typ {
		case words.str, words.i64, words.f64, words.boolean, 0:
			e.kvs[i].value = *from
			return
		}
	}
	e.Any(i, key, v.Value(at))
}

// Any sets position i to a copy of val.
func (e *Editor) Any(i int, key string, val pcommon.Value) {
	if !layoutKnown {
		e.slow[i].key = key
		val.CopyTo(e.slow[i].value)
		return
	}
	e.kvs[i].key, e.kvs[i].strindex = key, 0
	h := valueHeader{orig: &e.kvs[i].value, state: e.state}
	val.CopyTo(*(*pcommon.Value)(unsafe.Pointer(&h)))
}

// End makes the result the attributes of m, together with those of sh, which
// may be nil. They count as added.
func (e *Editor) End(m pcommon.Map, sh *Shared) {
	if sh == nil {
		sh = &Shared{}
	}
	if len(e.holes) > 1 {
		slices.Sort(e.holes)
	}
	if !layoutKnown {
		m.Clear()
		for i, a := range e.slow[:e.n] {
			if _, hole := slices.BinarySearch(e.holes, i); !hole {
				a.value.MoveTo(m.PutEmpty(a.key))
			}
		}
		clear(e.slow)
		appendSlow(m, sh.attrs)
		return
	}
	kvs, more := e.kvs[:e.n], sh.kvs
	holes := e.holes
	for len(holes) > 0 && len(more) > 0 {
		kvs[holes[0]] = more[0]
		holes, more = holes[1:], more[1:]
	}
	kvs = append(kvs, more...)
	for n := len(holes) - 1; n >= 0; n-- { // from behind, so that the last one is none
		last := len(kvs) - 1
		kvs[holes[n]] = kvs[last]
		kvs[last] = keyValue{}
		kvs = kvs[:last]
	}
	*mapOrig(&m) = kvs
	if sh.kvs == nil {
		e.slab.Append(m, sh.attrs)
	}
	e.kvs = nil
}

// Forget lets go of the memory of the last record.
func (e *Editor) Forget() { e.slab, e.kvs, e.state = nil, nil, nil }

// Cut makes attributes at of v, and no others, those of m. Their values are
// the same ones, so v is to be left alone from then on, as far as they are
// concerned.
func (s *Slab) Cut(m pcommon.Map, v *View, at []int) {
	if !layoutKnown {
		tmp := pcommon.NewMap()
		for _, i := range at {
			v.vals[i].CopyTo(tmp.PutEmpty(v.keys[i]))
		}
		tmp.MoveTo(m)
		return
	}
	var kvs []keyValue
	if len(at) > 0 {
		kvs = take(&s.kvs, len(at), s.HintAttrs)
		for n, i := range at {
			kvs[n] = v.kvs[i]
		}
	}
	*mapOrig(&m) = kvs
}

// Text makes a string value that records can share.
func (s *Slab) Text(str string) *string {
	p := takeFew(&s.strs, 1, s.few())
	p[0] = str
	return &p[0]
}

// Text returns the string of attribute i, nil when it is none. It is the value
// itself.
func (v *View) Text(i int) *string {
	if !layoutKnown {
		return v.texts[i]
	}
	f := (*iface)(unsafe.Pointer(&v.kvs[i])) // the value comes first
	if f.typ != words.str {
		return nil
	}
	return (*string)(f.data)
}
