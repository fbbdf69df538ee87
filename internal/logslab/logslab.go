// Package logslab fills pdata attribute maps from slabs.
//
// The public pdata API allocates one small object per value and searches the
// map for the key before each insertion. For 36 attributes that is 37
// allocations and 2 µs, most of what a log record costs here. A Slab cuts
// keys and values of many records from a few large allocations instead.
//
// It does so by way of the memory layout of pcommon.Map, which is internal to
// pdata. The layout is checked field by field with reflect before first use;
// when it differs from what is known (a newer pdata), Slab goes by the public
// API, with the same result at the old cost. A test fails in that case, so an
// upgrade cannot lose the speed unseen.
package logslab // import "github.com/otelcol-pmta/otelcol-pmta/internal/logslab"

import (
	"math"
	"reflect"
	"strings"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// Twins of pdata's internal types, in use only when checkLayout agrees.
type (
	anyValue struct{ value any }
	keyValue struct {
		value    anyValue
		key      string
		strindex int32
	}
	mapHeader struct {
		orig  *[]keyValue
		state unsafe.Pointer
	}
	valueHeader struct {
		orig  *anyValue
		state unsafe.Pointer
	}
	arrayValue struct{ values []anyValue }
	// listHead is a list without its elements.
	listHead struct {
		ptr *arrayValue // what pdata keeps in the value, so it comes first
		arr arrayValue
	}
	// single and pair are lists of one and two.
	single struct {
		listHead
		elem anyValue
	}
	pair struct {
		listHead
		elems [2]anyValue
	}
	// iface is how an interface value lies in memory: type word, data word. The
	// type is static data, nothing that the garbage collector has to be told of.
	iface struct {
		typ  uintptr
		data unsafe.Pointer
	}
)

// Type words of the one-field structs that pdata keeps values in.
type typeWords struct{ str, i64, f64, boolean, array uintptr }

var words, layoutKnown = checkLayout()

func mapOrig(m *pcommon.Map) *[]keyValue { return (*mapHeader)(unsafe.Pointer(m)).orig }

// checkLayout compares the real types behind pcommon.Map and pcommon.Value
// with the twins above and collects the type words of the value structs.
func checkLayout() (w typeWords, ok bool) {
	sameFields := func(real, twin reflect.Type) bool {
		if real.Kind() != reflect.Struct || real.Size() != twin.Size() || real.NumField() != twin.NumField() {
			return false
		}
		for i := range real.NumField() {
			r, t := real.Field(i), twin.Field(i)
			if r.Offset != t.Offset || r.Type.Size() != t.Type.Size() || !strings.EqualFold(r.Name, t.Name) && r.Name != fieldNames[t.Name] {
				return false
			}
		}
		return true
	}
	mt, vt := reflect.TypeFor[pcommon.Map](), reflect.TypeFor[pcommon.Value]()
	if !sameFields(mt, reflect.TypeFor[mapHeader]()) || !sameFields(vt, reflect.TypeFor[valueHeader]()) {
		return w, false
	}
	slice := mt.Field(0).Type
	if slice.Kind() != reflect.Pointer || slice.Elem().Kind() != reflect.Slice {
		return w, false
	}
	kv := slice.Elem().Elem()
	if !sameFields(kv, reflect.TypeFor[keyValue]()) || kv.Field(1).Type.Kind() != reflect.String {
		return w, false
	}
	av := kv.Field(0).Type
	if !sameFields(av, reflect.TypeFor[anyValue]()) || av.Field(0).Type.Kind() != reflect.Interface || av.Field(0).Type.NumMethod() != 0 {
		return w, false
	}
	if vt.Field(0).Type.Kind() != reflect.Pointer || vt.Field(0).Type.Elem() != av {
		return w, false
	}

	m := pcommon.NewMap()
	m.PutStr("s", "s")
	m.PutInt("i", 1)
	m.PutDouble("d", 1)
	m.PutBool("b", true)
	m.PutEmptySlice("a").AppendEmpty().SetStr("s")
	kvs := *mapOrig(&m)
	word := func(i int, field reflect.Kind) uintptr {
		t := reflect.TypeOf(kvs[i].value.value)
		if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct || t.Elem().NumField() != 1 || t.Elem().Field(0).Type.Kind() != field {
			return 0
		}
		return (*iface)(unsafe.Pointer(&kvs[i].value.value)).typ
	}
	w = typeWords{
		str: word(0, reflect.String), i64: word(1, reflect.Int64), f64: word(2, reflect.Float64),
		boolean: word(3, reflect.Bool), array: word(4, reflect.Pointer),
	}
	if w.str == 0 || w.i64 == 0 || w.f64 == 0 || w.boolean == 0 || w.array == 0 {
		return w, false
	}
	at := reflect.TypeOf(kvs[4].value.value).Elem().Field(0).Type.Elem()
	if at.Kind() != reflect.Struct || at.NumField() != 1 || at.Field(0).Type.Kind() != reflect.Slice || at.Field(0).Type.Elem() != av {
		return w, false
	}
	return w, true
}

// fieldNames maps names of the twins to pdata's where they are not the same
// but for case.
var fieldNames = map[string]string{"strindex": "KeyStrindex"}

// Slab hands out memory for the attributes of one batch of records. The zero
// value is ready for use. A Slab must not be used by two goroutines at once;
// what it has filled lives on its own and may go anywhere.
type Slab struct {
	kvs     []keyValue
	strs    []string
	i64s    []int64
	f64s    []float64
	bools   []bool
	elems   []anyValue
	heads   []listHead
	singles []single
	pairs   []pair
	// HintAttrs is how many attributes the batch is expected to have in all.
	// It only bounds how much memory one allocation takes.
	HintAttrs int
	// Spare is how many attributes SetAttributes leaves room for, so that a
	// later Append, by whichever component, need not copy the others.
	Spare int
}

// A block is at most this many elements: enough to make the cost of an
// allocation vanish, and few enough that one of 40 bytes stays below the 32 KiB
// at which the runtime goes over to its costlier large objects.
const maxBlock = 800

// smallBlock is the size in bytes of blocks of which a record takes little, so
// that what is left of the last one of a batch does not count.
const smallBlock = 4 << 10

// take cuts n elements from the front of a slab and refills it when it is
// too short.
func take[T any](slab *[]T, n, hint int) []T {
	if len(*slab) < n {
		*slab = make([]T, max(n, min(hint, maxBlock)))
	}
	s := (*slab)[:n:n]
	*slab = (*slab)[n:]
	return s
}

// takeFew is take for what a record takes little of.
func takeFew[T any](slab *[]T, n, records int) []T {
	if len(*slab) < n {
		var t T
		*slab = make([]T, max(n, min(records, smallBlock/int(unsafe.Sizeof(t)))))
	}
	s := (*slab)[:n:n]
	*slab = (*slab)[n:]
	return s
}

// few is about how many records the batch has.
func (s *Slab) few() int { return s.HintAttrs/32 + 1 }

// SetAttributes replaces all attributes of m by attrs. Keys have to be unique.
func (s *Slab) SetAttributes(m pcommon.Map, attrs []acct.Attr) {
	if !layoutKnown {
		setSlow(m, attrs)
		return
	}
	kvs := take(&s.kvs, len(attrs)+s.Spare, s.HintAttrs)[:len(attrs)]
	for i := range attrs {
		kvs[i].key = attrs[i].Key
		s.setValue(&kvs[i].value, &attrs[i])
	}
	*mapOrig(&m) = kvs
}

// Append adds attrs to m without looking for their keys, none of which may be
// there yet. Room for them is made once.
func (s *Slab) Append(m pcommon.Map, attrs []acct.Attr) {
	if len(attrs) == 0 {
		return
	}
	if !layoutKnown {
		appendSlow(m, attrs)
		return
	}
	orig := mapOrig(&m)
	kvs, n := *orig, len(*orig)
	if cap(kvs)-n < len(attrs) {
		kvs = take(&s.kvs, n+len(attrs)+s.Spare, s.HintAttrs)[:n+len(attrs)]
		copy(kvs, *orig)
	} else {
		kvs = kvs[:n+len(attrs)]
	}
	for i := range attrs {
		kvs[n+i].key, kvs[n+i].strindex = attrs[i].Key, 0
		s.setValue(&kvs[n+i].value, &attrs[i])
	}
	*orig = kvs
}

// Lookup returns the value of key in m, as m.Get does. *at remembers where the
// key was found: records of one source mostly hold their attributes in the
// same order, so the next search ends at the first comparison. Start with 0.
func Lookup(m pcommon.Map, key string, at *int) (pcommon.Value, bool) {
	if !layoutKnown {
		return m.Get(key)
	}
	kvs := *mapOrig(&m)
	i := *at
	if i >= len(kvs) || kvs[i].key != key {
		for i = range kvs {
			if kvs[i].key == key {
				break
			}
		}
		if i >= len(kvs) || kvs[i].key != key {
			return pcommon.Value{}, false
		}
		*at = i
	}
	v := valueHeader{orig: &kvs[i].value, state: (*mapHeader)(unsafe.Pointer(&m)).state}
	return *(*pcommon.Value)(unsafe.Pointer(&v)), true
}

// SetString sets v to a string.
func (s *Slab) SetString(v pcommon.Value, str string) {
	if !layoutKnown {
		v.SetStr(str)
		return
	}
	s.setString((*valueHeader)(unsafe.Pointer(&v)).orig, str)
}

func (s *Slab) setString(v *anyValue, str string) {
	p := take(&s.strs, 1, s.HintAttrs)
	p[0] = str
	*(*iface)(unsafe.Pointer(&v.value)) = iface{words.str, unsafe.Pointer(&p[0])}
}

func (s *Slab) setValue(v *anyValue, a *acct.Attr) {
	out := (*iface)(unsafe.Pointer(&v.value))
	switch a.Kind {
	case acct.KindString:
		s.setString(v, a.Str)
	case acct.KindInt:
		p := take(&s.i64s, 1, s.HintAttrs/4+16)
		p[0] = a.Num
		*out = iface{words.i64, unsafe.Pointer(&p[0])}
	case acct.KindDouble:
		p := take(&s.f64s, 1, 32)
		p[0] = math.Float64frombits(uint64(a.Num))
		*out = iface{words.f64, unsafe.Pointer(&p[0])}
	case acct.KindBool:
		p := take(&s.bools, 1, 32)
		p[0] = a.Num != 0
		*out = iface{words.boolean, unsafe.Pointer(&p[0])}
	case acct.KindStrings:
		n := strings.Count(a.Str, ",") + 1
		elems := take(&s.elems, n, s.HintAttrs/4+16)
		rest := a.Str
		for i := range elems {
			var e string
			e, rest, _ = strings.Cut(rest, ",")
			s.setString(&elems[i], e)
		}
		*out = iface{words.array, unsafe.Pointer(s.list(elems))}
	}
}

func (s *Slab) list(elems []anyValue) *listHead {
	head := &takeFew(&s.heads, 1, s.few())[0]
	head.arr.values = elems
	head.ptr = &head.arr
	return head
}

// setSlow does the same by the public API.
func setSlow(m pcommon.Map, attrs []acct.Attr) {
	m.Clear()
	m.EnsureCapacity(len(attrs))
	appendSlow(m, attrs)
}

func appendSlow(m pcommon.Map, attrs []acct.Attr) {
	for i := range attrs {
		a := &attrs[i]
		switch a.Kind {
		case acct.KindString:
			m.PutStr(a.Key, a.Str)
		case acct.KindInt:
			m.PutInt(a.Key, a.Num)
		case acct.KindDouble:
			m.PutDouble(a.Key, math.Float64frombits(uint64(a.Num)))
		case acct.KindBool:
			m.PutBool(a.Key, a.Num != 0)
		case acct.KindStrings:
			sl := m.PutEmptySlice(a.Key)
			for e := range strings.SplitSeq(a.Str, ",") {
				sl.AppendEmpty().SetStr(e)
			}
		}
	}
}
