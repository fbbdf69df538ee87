package kafka

import (
	"encoding/hex"
	"slices"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/kafkaout"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// router decides on topic, key and headers.
type router struct {
	defaultTopic string
	topicAttr    string
	keyAttrs     []string
	byUID        bool // a record without the key's attributes goes by its uid
	byResource   bool
	headerAttrs  []string
	fixedHeaders []kafkaout.Header
	encoded      kafkaout.Headers // fixedHeaders
}

func newRouter(c *Config) router {
	r := router{
		defaultTopic: c.Logs.Topic, topicAttr: c.TopicFromAttribute, keyAttrs: c.keys(),
		byResource: c.PartitionLogsByResourceAttributes, headerAttrs: c.HeadersFromResourceAttributes,
		byUID: c.MessageKeyFromAttributes == nil && c.Logs.Encoding == encodingJSON,
	}
	for _, p := range c.RecordHeaders {
		r.fixedHeaders = append(r.fixedHeaders, kafkaout.Header{Key: p.Name, Value: []byte(p.Value)})
	}
	r.encoded = kafkaout.EncodeHeaders(r.fixedHeaders)
	return r
}

// hasKeys reports whether any message may have a key.
func (r *router) hasKeys() bool { return r.byResource || r.byUID || len(r.keyAttrs) > 0 }

// resourceRoute is what is the same for all records of a resource.
type resourceRoute struct {
	attrs   pcommon.Map
	key     []byte
	headers kafkaout.Headers
}

func (r *router) resource(rl plog.ResourceLogs) resourceRoute {
	out := resourceRoute{attrs: rl.Resource().Attributes(), headers: r.encoded}
	if len(r.headerAttrs) > 0 {
		list := slices.Clone(r.fixedHeaders)
		for _, name := range r.headerAttrs {
			if v, ok := out.attrs.Get(name); ok {
				list = append(list, kafkaout.Header{Key: name, Value: []byte(v.AsString())})
			}
		}
		out.headers = kafkaout.EncodeHeaders(list)
	}
	if r.byResource {
		out.key = resourceHash(out.attrs)
	}
	return out
}

// resourceHash returns 16 hex digits that depend on all attributes but not on
// their order.
func resourceHash(m pcommon.Map) []byte {
	var names []string
	for k := range m.All() {
		names = append(names, k)
	}
	slices.Sort(names)
	h := xxhash.New()
	for _, k := range names {
		v, _ := m.Get(k)
		_, _ = h.WriteString(k + "\x00" + v.AsString() + "\x00")
	}
	return hex.AppendEncode(nil, h.Sum(nil))
}

// topic returns the topic of a record.
func (r *router) topic(res *resourceRoute, lr plog.LogRecord) string {
	if r.topicAttr == "" {
		return r.defaultTopic
	}
	if v, ok := find(r.topicAttr, res, lr); ok && v.Type() == pcommon.ValueTypeStr && validTopic(v.Str()) {
		return v.Str()
	}
	return r.defaultTopic
}

// key returns the message key, nil for none, made in buf or in the resource,
// and buf.
func (r *router) key(buf []byte, res *resourceRoute, lr plog.LogRecord) (key, _ []byte) {
	if res.key != nil {
		return res.key, buf
	}
	found := false
	for i, name := range r.keyAttrs {
		if i > 0 {
			buf = append(buf, '|')
		}
		if v, ok := find(name, res, lr); ok {
			found = true
			if v.Type() == pcommon.ValueTypeStr {
				buf = append(buf, v.Str()...)
			} else {
				buf = append(buf, v.AsString()...)
			}
		}
	}
	if found && len(buf) > 0 {
		return buf, buf
	}
	if r.byUID {
		if v, ok := lr.Attributes().Get(semconv.LogRecordUID); ok {
			buf = append(buf[:0], v.AsString()...)
			return buf, buf
		}
	}
	return nil, buf
}

func find(name string, res *resourceRoute, lr plog.LogRecord) (pcommon.Value, bool) {
	if v, ok := lr.Attributes().Get(name); ok {
		return v, true
	}
	return res.attrs.Get(name)
}

// group is a set of records that may share a message.
type group struct {
	topic   string
	key     []byte
	headers kafkaout.Headers
	ld      plog.Logs
	index   []int32 // place in the request of each record; nil: the same
}

// refs returns the places in the request of the records [from, to).
func (g *group) refs(from, to int) []int32 {
	if g.index != nil {
		return g.index[from:to]
	}
	out := make([]int32, to-from)
	for i := range out {
		out[i] = int32(from + i)
	}
	return out
}

// halves cuts the records [from, to) in two groups.
func (g *group) halves(from, to int) []*group {
	cut := func(from, to int) *group {
		half := *g
		half.ld = subset(g.ld, func(i int) bool { return i >= from && i < to })
		half.index = slices.Clone(g.refs(from, to))
		return &half
	}
	mid := (from + to) / 2
	return []*group{cut(from, mid), cut(mid, to)}
}

// groups sorts the records of ld by topic, key and headers.
func (r *router) groups(ld plog.Logs) []*group {
	if ld.LogRecordCount() == 0 {
		return nil
	}
	if r.topicAttr == "" && len(r.keyAttrs) == 0 && !r.byResource && len(r.headerAttrs) == 0 {
		return []*group{{topic: r.defaultTopic, headers: r.encoded, ld: ld}}
	}
	var order []*group
	found := map[string]*group{}
	var member []*group // of each record
	var buf []byte
	for _, rl := range ld.ResourceLogs().All() {
		res := r.resource(rl)
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				topic := r.topic(&res, lr)
				var key []byte
				key, buf = r.key(buf[:0], &res, lr)
				id := topic + "\x00" + res.headers.String() + "\x00" + string(key)
				g := found[id]
				if g == nil {
					g = &group{topic: topic, key: slices.Clone(key), headers: res.headers, index: []int32{}}
					found[id] = g
					order = append(order, g)
				}
				g.index = append(g.index, int32(len(member)))
				member = append(member, g)
			}
		}
	}
	for _, g := range order {
		if len(order) == 1 {
			g.ld = ld
			break
		}
		g.ld = subset(ld, func(i int) bool { return member[i] == g })
	}
	return order
}
