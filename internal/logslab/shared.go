package logslab

import (
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// Shared is a list of attributes that many records get alike. Their values
// exist once: changing one in a record replaces it there and leaves the others
// alone, as pdata never changes a scalar value in place. It does so only when
// it pools values, an experiment behind a feature gate; then every record gets
// values of its own.
type Shared struct {
	attrs []acct.Attr
	kvs   []keyValue
}

// Share prepares attrs, which hold no lists, for AppendShared.
func Share(attrs []acct.Attr) *Shared {
	s := &Shared{attrs: append([]acct.Attr(nil), attrs...)}
	if !layoutKnown || pooling() {
		return s
	}
	for i := range attrs {
		if attrs[i].Kind == acct.KindStrings {
			return s // a list can be changed in place
		}
	}
	slab := Slab{HintAttrs: len(attrs)}
	m := pcommon.NewMap()
	slab.SetAttributes(m, s.attrs)
	s.kvs = *mapOrig(&m)
	return s
}

func pooling() (on bool) {
	featuregate.GlobalRegistry().VisitAll(func(g *featuregate.Gate) {
		if g.ID() == "pdata.useProtoPooling" {
			on = g.IsEnabled()
		}
	})
	return on
}

// AppendShared adds the attributes of sh to m, in which none of their keys may
// be.
func (s *Slab) AppendShared(m pcommon.Map, sh *Shared) {
	if sh.kvs == nil {
		s.Append(m, sh.attrs)
		return
	}
	orig := mapOrig(&m)
	n := len(*orig)
	if cap(*orig)-n < len(sh.kvs) {
		kvs := take(&s.kvs, n+len(sh.kvs), s.HintAttrs)
		copy(kvs, *orig)
		*orig = kvs
	} else {
		*orig = (*orig)[:n+len(sh.kvs)]
	}
	copy((*orig)[n:], sh.kvs)
}
