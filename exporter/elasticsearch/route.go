package elasticsearch

import (
	"encoding/json"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-pmta/otelcol-pmta/internal/estemplate"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Attributes that steer, as in contrib's exporter.
const (
	attrType       = "data_stream.type"
	attrDataset    = "data_stream.dataset"
	attrNamespace  = "data_stream.namespace"
	attrDocumentID = "elasticsearch.document_id"
)

// router finds the data stream and the _id of records. It is not safe for
// several goroutines.
type router struct {
	index     string // fixed, or empty
	dynamicID bool
	flat      bool  // attributes are at the root of the document
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
	// tails holds the end of a document that says which data stream it is in,
	// by the fields that the document has already.
	tails [1 << 3][]byte
}

// pmtaStreams are the values of pmta.stream. Others go where the first one
// goes, so that an attribute cannot make any number of data streams.
var pmtaStreams = [...]string{semconv.StreamAcct, semconv.StreamBounce, semconv.StreamDiag, semconv.StreamPanic}

// Fields of the data stream that a document has already.
const (
	hasType = 1 << iota
	hasDataset
	hasNamespace
)

// target is where one document goes.
type target struct {
	*stream
	id  string
	has int
}

// maxStreams bounds the memory for data streams that were seen.
const maxStreams = 1000

func newRouter(cfg *Config) router {
	return router{
		index: cfg.LogsIndex, dynamicID: cfg.LogsDynamicID.Enabled, flat: cfg.Mapping.Mode != estemplate.ModeOTel,
		fallback: names{cfg.DataStream.Dataset, cfg.DataStream.Namespace},
		streams:  map[names]*stream{},
	}
}

// scope finds the target of records that say nothing themselves: the scope
// wins over the resource.
func (r *router) scope(resource, scope pcommon.Map) target {
	n := r.fallback
	t := target{}
	for i, attrs := range []pcommon.Map{resource, scope} {
		inDocument := r.flat && i == 0
		if v, ok := attrs.Get(attrDataset); ok && v.AsString() != "" {
			n.dataset = v.AsString()
		}
		if v, ok := attrs.Get(attrNamespace); ok && v.AsString() != "" {
			n.namespace = v.AsString()
		}
		if inDocument {
			for bit, name := range map[int]string{hasType: attrType, hasDataset: attrDataset, hasNamespace: attrNamespace} {
				if _, ok := attrs.Get(name); ok {
					t.has |= bit
				}
			}
		}
	}
	t.stream = r.stream(n)
	return t
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
		for has := range s.tails {
			tail := []byte{}
			for _, f := range []struct {
				bit         int
				name, value string
			}{{hasType, attrType, "logs"}, {hasDataset, attrDataset, dataset}, {hasNamespace, attrNamespace, namespace}} {
				if has&f.bit == 0 {
					value, _ := json.Marshal(f.value) // a string always has a JSON
					tail = append(append(tail, `,"`+f.name+`":`...), value...)
				}
			}
			s.tails[has] = append(tail, '}')
		}
	}
	r.streams[n] = s
	return s
}

// record finds the target of one record.
func (r *router) record(t target, attrs pcommon.Map) target {
	n := t.names
	has, of := 0, 0
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
		case len(attrType):
			if k == attrType {
				has |= hasType
			}
		case len(attrDataset):
			if k == attrDataset {
				has |= hasDataset
				if s := v.AsString(); s != "" {
					n.dataset = s
				}
			}
		case len(attrNamespace):
			if k == attrNamespace {
				has |= hasNamespace
				if s := v.AsString(); s != "" {
					n.namespace = s
				}
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
	if has != 0 {
		if r.flat {
			t.has |= has
		}
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
	tail := t.tails[t.has]
	if len(tail) == 0 {
		return doc
	}
	// A document is an object that has a time at least.
	return append(doc[:len(doc)-1], tail...)
}
