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
	// parts are the values of partNames; empty for a fixed index.
	parts [len(partNames)]string
	// tails holds the end of a document that says which data stream it is in,
	// by the fields that the document has already.
	tails [1 << 3][]byte
}

// partNames are the fields that say which data stream a document is in, in the
// order of the bits below. Within a data stream they are constants: a document
// with another value would be refused.
var partNames = [...]string{attrType, attrDataset, attrNamespace}

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
	own [len(partNames)]string // values of what it has
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
			for i, name := range partNames {
				if v, ok := attrs.Get(name); ok {
					t.has |= 1 << i
					t.own[i] = v.AsString()
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
		s.parts = [...]string{"logs", dataset, namespace}
		for has := range s.tails {
			tail := []byte{}
			for i, name := range partNames {
				if has&(1<<i) == 0 {
					value, _ := json.Marshal(s.parts[i]) // a string always has a JSON
					tail = append(append(tail, `,"`+name+`":`...), value...)
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
				t.own[0] = v.AsString()
			}
		case len(attrDataset):
			if k == attrDataset {
				has |= hasDataset
				t.own[1] = v.AsString()
				if t.own[1] != "" {
					n.dataset = t.own[1]
				}
			}
		case len(attrNamespace):
			if k == attrNamespace {
				has |= hasNamespace
				t.own[2] = v.AsString()
				if t.own[2] != "" {
					n.namespace = t.own[2]
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

// complete adds to a document, which begins at from, which data stream it is
// in, and corrects what it says of that itself. A fixed index has no such parts.
func (t target) complete(doc []byte, from int) []byte {
	tail := t.tails[t.has]
	if len(tail) == 0 {
		return doc
	}
	for i := range t.parts {
		if t.has&(1<<i) != 0 && t.own[i] != t.parts[i] {
			return t.correct(doc, from)
		}
	}
	// A document is an object that has a time at least.
	return append(doc[:len(doc)-1], tail...)
}

// correct is complete for the rare document that says something else, as
// "Acme-1" of the namespace acme_1, or a scope's dataset over the resource's.
func (t target) correct(doc []byte, from int) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(doc[from:], &fields) != nil {
		return doc // the renderer writes objects only
	}
	for i, name := range partNames {
		fields[name], _ = json.Marshal(t.parts[i]) // a string always has a JSON
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return doc
	}
	return append(doc[:from], out...)
}
