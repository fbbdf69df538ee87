package logslab

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// Move takes the value of attribute From along under the name Key.
type Move struct {
	Key  string
	From int
}

// Rebuild replaces all attributes of dst by values of src under new names,
// followed by add. dst may be src. Otherwise the two share the values
// afterwards, so src has to be replaced or left unread. A value may move to
// one place only, and names have to be unique.
func (s *Slab) Rebuild(dst, src pcommon.Map, moves []Move, add []acct.Attr) {
	if !layoutKnown {
		rebuildSlow(dst, src, moves, add)
		return
	}
	from := *mapOrig(&src)
	n := len(moves)
	kvs := take(&s.kvs, n+len(add), s.HintAttrs)
	for i := range moves {
		kvs[i].key, kvs[i].value = moves[i].Key, from[moves[i].From].value
	}
	for i := range add {
		kvs[n+i].key = add[i].Key
		s.setValue(&kvs[n+i].value, &add[i])
	}
	*mapOrig(&dst) = kvs
}

func rebuildSlow(dst, src pcommon.Map, moves []Move, add []acct.Attr) {
	values := make([]pcommon.Value, 0, src.Len())
	for _, v := range src.All() {
		values = append(values, v)
	}
	m := pcommon.NewMap()
	m.EnsureCapacity(len(moves) + len(add))
	for _, mv := range moves {
		values[mv.From].CopyTo(m.PutEmpty(mv.Key))
	}
	appendSlow(m, add)
	m.MoveTo(dst)
}
