package elasticsearch

import (
	"encoding/json"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-pmta/otelcol-pmta/internal/estemplate"
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Attributes that steer, as in contrib's exporter. Documents have a
// data_stream.type, too.
const (
	attrType       = "data_stream.type"
	attrDataset    = "data_stream.dataset"
	attrNamespace  = "data_stream.namespace"
	attrDocumentID = "elasticsearch.document_id"
)

// renderOptions returns how documents are rendered. In flat ones the router
// alone says which data stream they are in: what a resource says may be
// overruled by its scope, or be no part of a name as it stands, and
// Elasticsearch refuses a document that says another data stream than it is
// sent to.
func renderOptions(cfg *Config) schema.Options {
	o := estemplate.RenderOptions(cfg.Mapping.Mode)
	o.NoDataStream = cfg.LogsIndex == "" && !o.Nested
	return o
}

// router finds the data stream and the _id of records. It is not safe for
// several goroutines.
type router struct {
	index     string // fixed, or empty
	dynamicID bool
	fallback  names // dataset is empty when the record's stream decides
	streams   map[names]*stream
}

// names are the parts of a data stream's name as given. An empty dataset is
// that of the record's stream.
type names struct{ dataset, namespace string }

// stream is where documents go.
type stream struct {
	names
	index string
	// of holds the data streams of the streams, in the order of pmtaStreams,
	// when dataset is empty.
	of [len(pmtaStreams)]*stream
	// tail is the end of a document, which says which data stream it is in.
	tail []byte
}

// pmtaStreams are the values of pmta.stream. Others go where the first one
// goes, so that an attribute cannot make any number of data streams.
var pmtaStreams = [...]string{semconv.StreamAcct, semconv.StreamBounce, semconv.StreamDiag, semconv.StreamPanic}

// target is where one document goes.
type target struct {
	*stream
	id string
}

// maxStreams bounds the memory for data streams that were seen.
const maxStreams = 1000

func newRouter(cfg *Config) router {
	return router{
		index: cfg.LogsIndex, dynamicID: cfg.LogsDynamicID.Enabled,
		fallback: names{cfg.DataStream.Dataset, cfg.DataStream.Namespace},
		streams:  map[names]*stream{},
	}
}

// scope finds the target of records that say nothing themselves: the scope
// wins over the resource.
func (r *router) scope(resource, scope pcommon.Map) target {
	n := r.fallback
	for _, attrs := range []pcommon.Map{resource, scope} {
		if v, ok := attrs.Get(attrDataset); ok && v.AsString() != "" {
			n.dataset = v.AsString()
		}
		if v, ok := attrs.Get(attrNamespace); ok && v.AsString() != "" {
			n.namespace = v.AsString()
		}
	}
	return target{stream: r.stream(n)}
}

func (r *router) stream(n names) *stream {
	if s, ok := r.streams[n]; ok {
		return s
	}
	if len(r.streams) >= maxStreams {
		clear(r.streams)
	}
	s := &stream{names: n, index: r.index}
	if n.dataset == "" {
		for i, p := range pmtaStreams {
			s.of[i] = r.stream(names{datasetPrefix + p, n.namespace})
		}
		r.streams[n] = s
		return s
	}
	if s.index == "" {
		dataset, namespace := sanitize(n.dataset), sanitize(n.namespace)
		s.index = "logs-" + dataset + "-" + namespace
		for _, f := range [][2]string{{attrType, "logs"}, {attrDataset, dataset}, {attrNamespace, namespace}} {
			value, _ := json.Marshal(f[1]) // a string always has a JSON
			s.tail = append(append(s.tail, `,"`+f[0]+`":`...), value...)
		}
		s.tail = append(s.tail, '}')
	}
	r.streams[n] = s
	return s
}

// record finds the target of one record.
func (r *router) record(t target, attrs pcommon.Map) target {
	n := t.names
	named, of := false, 0
	var own string
	for k, v := range attrs.All() {
		switch len(k) {
		case len(semconv.LogRecordUID):
			if k == semconv.LogRecordUID {
				t.id = v.AsString()
			}
		case len(semconv.PMTAStream):
			if k == semconv.PMTAStream {
				of = max(0, slices.Index(pmtaStreams[:], v.AsString()))
			}
		case len(attrDataset):
			if k == attrDataset && v.AsString() != "" {
				n.dataset, named = v.AsString(), true
			}
		case len(attrNamespace):
			if k == attrNamespace && v.AsString() != "" {
				n.namespace, named = v.AsString(), true
			}
		case len(attrDocumentID):
			if k == attrDocumentID && r.dynamicID {
				own = v.AsString()
			}
		}
	}
	if own != "" {
		t.id = own
	}
	if named {
		t.stream = r.stream(n)
	}
	if t.dataset == "" {
		t.stream = t.of[of]
	}
	return t
}

// complete adds to a document which data stream it is in. A fixed index has
// no such parts.
func (t target) complete(doc []byte) []byte {
	if len(t.tail) == 0 {
		return doc
	}
	// A document is an object that has a time at least.
	return append(doc[:len(doc)-1], t.tail...)
}
