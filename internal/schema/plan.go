package schema

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/jsontext"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// program is the table for one schema.
type program struct {
	fields   []outField
	byName   map[string]int // fields
	record   []target       // from rows that are no attribute
	attrs    map[string][]target
	resource map[string][]target
	families []famTarget
	once     []target // those of record that tell of the PowerMTA
	redacted string   // attribute that says that addresses are pseudonyms
}

// outField is a field that a document may have, once.
type outField struct {
	name string
	json []byte // `"name":`
	set  bool
	res  bool // below resource in nested documents
	own  bool // of the record itself: outside of attributes in nested documents
}

// target is what one source gives to one field.
type target struct {
	field  int
	rank   int
	conv   Conv
	when   Types
	record recordSource
	value  string
	once   bool
}

type famTarget struct {
	prefix  string // of attributes
	name    string // of fields; the rest of the attribute follows
	conv    Conv
	grouped bool   // members of one object in JSON
	json    []byte // of the object
}

// nestedNames are those of Elasticsearch's otel mapping.
var nestedNames = map[string]string{"event.name": "event_name"}

func jsonKey(name string) []byte { return append(jsontext.AppendString(nil, name), ':') }

func compileProgram(o Options) *program {
	p := &program{byName: map[string]int{}, attrs: map[string][]target{}, resource: map[string][]target{}, redacted: semconv.PMTARedactionKeyID}
	add := func(name string, t target, row *Row) target {
		i, ok := p.byName[name]
		if !ok {
			i = len(p.fields)
			p.byName[name] = i
			p.fields = append(p.fields, outField{name: name, json: jsonKey(name), res: row.From == ResourceOf, own: row.From == OfRecord})
		}
		t.field = i
		t.record = row.record
		if t.conv == AddHost || t.conv == AddIP || t.conv == AddUser {
			p.fields[i].set = true
		}
		return t
	}
	for i := range rows {
		row := &rows[i]
		var fields []Field
		switch {
		case o.Schema != OTel:
			fields = row.Fields(o.Schema)
		case row.OTel != "-":
			f := Field{Name: row.OTel}
			if n, ok := nestedNames[f.Name]; ok && o.Nested {
				f.Name = n
			}
			switch row.record {
			case recTime, recObserved:
				f.Conv = Date
			case recTraceID, recSpanID:
				f.Conv = Hex
			case recBody:
				if !o.Nested {
					f.Conv = NewText
				}
			}
			fields = fs(f)
		}
		for _, f := range fields {
			t := target{rank: f.Rank, conv: f.Conv, when: f.When, value: f.Value, once: f.Once}
			if o.Schema == SplunkCIM && o.DSNStatus && row.Attr == semconv.SMTPResponseCode && f.Name == "status_code" {
				t.rank = 9
			}
			switch row.From {
			case Attribute:
				p.attrs[row.Attr] = append(p.attrs[row.Attr], add(f.Name, t, row))
			case ResourceOf:
				p.resource[row.Attr] = append(p.resource[row.Attr], add(f.Name, t, row))
			case OfRecord:
				t = add(f.Name, t, row)
				if f.Once {
					p.once = append(p.once, t)
				}
				p.record = append(p.record, t)
			case Family:
				name := strings.TrimSuffix(f.Name, "*")
				ft := famTarget{prefix: strings.TrimSuffix(row.Attr, "*"), name: name, conv: f.Conv}
				if row.Type == "flattened" && o.Schema != SplunkCIM {
					ft.grouped = true
					ft.json = append(jsonKey(strings.TrimSuffix(name, ".")), '{')
				}
				p.families = append(p.families, ft)
			}
		}
		if len(fields) == 0 {
			switch row.From {
			case Attribute:
				p.attrs[row.Attr] = []target{}
			case ResourceOf:
				p.resource[row.Attr] = []target{}
			}
		}
	}
	return p
}

type opKind uint8

const (
	opValue  opKind = iota // a value; on success the next skip operations are left out
	opConst                // a fixed value
	opRecord               // a value of the record itself
	opAdd                  // a member of a set
	opSet                  // the set
	opOpen                 // an object begins
	opClose                // an object ends
)

// op is one step of a plan.
type op struct {
	kind   opKind
	conv   Conv
	record recordSource
	skip   uint8
	number bool // a constant that is a number
	alone  bool // no alternative to another operation
	own    bool // for compileEdits
	src    int  // attribute, from resBase on of the resource
	name   string
	json   []byte
	value  string
	values []string // of a list
}

// resBase is added to positions of resource attributes.
const resBase = 1 << 20

// plan is what is done with records of one shape: one sequence of attribute
// names, of the record and of its resource, and one record type.
type plan struct {
	hash     uint64
	kind     event
	withRes  bool
	redacted bool
	keys     []string
	resKeys  []string
	ops      []op
	doc      []op            // the same for JSON: what is known already is one piece
	route    *logslab.Shared // attributes for the exporter to add, or nil
	diag     int             // position of pmta.dsn.diag, -1 without
	routing  []int           // attributes for the exporter, which no document has

	// The same for attributes that change in place, from compileEdits.
	edited  bool
	edits   []edit
	texts   [][]*string // constants that are no consts
	renames []rename
	dead    []int           // attributes of which nothing stays
	consts  *logslab.Shared // fields that always are the same
	added   int             // at most so many fields need a place of their own
}

// rename is an attribute that becomes a field as it is.
type rename struct {
	slot int
	key  string
}

// Shapes are kept in buckets of shapeWays, most recent first. Optional columns
// make some dozens to hundreds of shapes; when there are more than fit, a plan
// is made again, which costs some microseconds.
const (
	shapeWays  = 8
	shapeSlots = 128 * shapeWays
)

// fingerprint mixes the ends and lengths of the names, which is most of what
// tells them apart; a hit is verified.
func fingerprint(h uint64, v *logslab.View) uint64 {
	for i := range v.Len() {
		k := v.Key(i)
		w := uint64(len(k)) << 56
		if n := len(k); n >= 8 {
			w ^= binary.LittleEndian.Uint64(unsafe.Slice(unsafe.StringData(k), n)[n-8:])
		} else {
			for j := range n {
				w = w<<8 ^ uint64(k[j])
			}
		}
		h = (h ^ w) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	return h
}

// plan returns the plan for the shape of r.attrs and r.res.
func (r *Renderer) plan(lr plog.LogRecord, withRes bool) *plan {
	kind := eventOf(lr, &r.attrs)
	place := r.attrs.Place()
	if withRes {
		place ^= r.res.Place() << 1
	}
	at := r.places[place*0x9e3779b97f4a7c15>>55<<1:][:2]
	for i := range at {
		if p := at[i].plan; p != nil && at[i].place == place && p.kind == kind && p.withRes == withRes && r.attrs.HasKeys(p.keys) && r.res.HasKeys(p.resKeys) {
			return p
		}
	}
	p := r.find(kind, withRes)
	at[0], at[1] = placed{place, p}, at[0]
	return p
}

// placed is a plan that was right for names in that place.
type placed struct {
	place uint64
	plan  *plan
}

// find looks among the plans in memory, or makes one.
func (r *Renderer) find(kind event, withRes bool) *plan {
	h := fingerprint(uint64(kind)+1, &r.attrs)
	h = fingerprint(h, &r.res)
	bucket := r.shapes[h%(shapeSlots/shapeWays)*shapeWays:][:shapeWays]
	for i, p := range bucket {
		if p == nil {
			break
		}
		if p.hash == h && p.kind == kind && p.withRes == withRes && r.attrs.HasKeys(p.keys) && r.res.HasKeys(p.resKeys) {
			copy(bucket[1:], bucket[:i])
			bucket[0] = p
			return p
		}
	}
	p := bucket[shapeWays-1]
	if p == nil {
		p = &plan{}
	}
	copy(bucket[1:], bucket)
	bucket[0] = p
	r.misses++
	p.hash = h
	r.compile(p, kind, withRes)
	return p
}

// candidate is a source that may fill a field.
type candidate struct {
	target
	src int
}

// compile works out the plan for the shape of r.attrs and r.res.
func (r *Renderer) compile(p *plan, kind event, withRes bool) {
	prog := r.prog
	p.kind, p.withRes, p.redacted, p.diag = kind, withRes, false, -1
	p.keys, p.resKeys, p.ops = p.keys[:0], p.resKeys[:0], p.ops[:0]
	p.routing, p.edited = p.routing[:0], false
	defer p.finish()
	cands := make([][]candidate, len(prog.fields))
	client := false
	for i := range r.attrs.Len() {
		client = client || r.attrs.Key(i) == semconv.ClientAddress
	}
	says, types := &events[kind], kind.types(client)
	consider := func(ts []target, src int) {
		for _, t := range ts {
			if t.when == 0 || t.when&types != 0 {
				cands[t.field] = append(cands[t.field], candidate{t, src})
			}
		}
	}
	type member struct {
		name string
		conv Conv
		src  int
	}
	groups := make([][]member, len(prog.families))
	var others []member

	typed := !says.sourceType(r.opts.Schema)
	for i := range r.attrs.Len() {
		k := r.attrs.Key(i)
		repeated := slices.Contains(p.keys, k)
		p.keys = append(p.keys, k)
		if repeated || r.leftOut(k) {
			continue // repeated: malformed input; the first one counts, as for Map.Get
		}
		if k == prog.redacted {
			p.redacted = true
		}
		if k == semconv.PMTADSNDiag {
			p.diag = i
		}
		if ts, ok := prog.attrs[k]; ok {
			consider(ts, i)
			continue
		}
		if f, ok := prog.byName[k]; ok && !(r.opts.Nested && (prog.fields[f].res || prog.fields[f].own)) {
			cands[f] = append(cands[f], candidate{target{field: f, rank: -1}, i})
			continue
		}
		if isRouting(k) {
			p.routing = append(p.routing, i)
			if k == attrSourceType {
				typed = true
			}
			if withRes {
				continue
			}
		}
		if f := slices.IndexFunc(prog.families, func(f famTarget) bool { return strings.HasPrefix(k, f.prefix) && len(k) > len(f.prefix) }); f >= 0 {
			groups[f] = append(groups[f], member{validName(k[len(prog.families[f].prefix):]), prog.families[f].conv, i})
			continue
		}
		others = append(others, member{r.customName(k), Same, i})
	}
	p.route = nil
	if !typed {
		p.route = routeLog()
	}
	var resOthers []member
	for i := range r.res.Len() {
		k := r.res.Key(i)
		repeated := slices.Contains(p.resKeys, k)
		p.resKeys = append(p.resKeys, k)
		if repeated || !withRes || r.leftOut(k) {
			continue
		}
		if ts, ok := prog.resource[k]; ok {
			consider(ts, resBase+i)
			continue
		}
		name := r.customName(k)
		if !r.opts.Nested {
			if _, taken := prog.byName[name]; taken || slices.ContainsFunc(others, func(m member) bool { return m.name == name }) {
				continue
			}
		}
		resOthers = append(resOthers, member{name, Same, resBase + i})
	}
	for _, t := range prog.record {
		if withRes || !t.once && !ownField(t.record, prog.fields[t.field].name) {
			consider([]target{t}, -1)
		}
	}

	emit := func(o op) { p.ops = append(p.ops, o) }
	field := func(f int) {
		cs, of := cands[f], &prog.fields[f]
		if len(cs) == 0 {
			return
		}
		slices.SortStableFunc(cs, func(a, b candidate) int { return a.rank - b.rank })
		if of.set && cs[0].rank >= 0 {
			for _, c := range cs {
				emit(op{kind: opAdd, conv: c.conv, src: c.src})
			}
			emit(op{kind: opSet, name: of.name, json: of.json})
			return
		}
		if cs[0].rank < 0 {
			cs = cs[:1]
		}
		// Nothing comes behind what always succeeds.
		for i, c := range cs {
			if c.value != "" || c.conv == Same && c.record == recNone || c.record >= recAction {
				cs = cs[:i+1]
				break
			}
		}
		for i, c := range cs {
			o := op{kind: opValue, conv: c.conv, src: c.src, name: of.name, json: of.json, skip: uint8(len(cs) - 1 - i), record: c.record, value: c.value, alone: len(cs) == 1}
			switch c.record {
			case recNone, recConst:
			case recAction:
				o.value = says.Action
			case recCIMAction:
				o.value = says.CIM
			case recOutcome:
				o.value = says.Outcome
			case recCategory:
				o.values = says.Category
			case recTypes:
				o.values = says.Types
			case recDataset:
				o.value = dataset(says.Stream)
			}
			switch {
			case o.values != nil:
				o.kind = opConst
			case o.value != "":
				o.kind = opConst
				_, err := strconv.Atoi(o.value)
				o.number = err == nil
			case o.record != recNone:
				o.kind = opRecord
			}
			emit(o)
		}
	}
	// Names that a document has in one place, so that none occurs twice.
	unique := func(taken map[string]bool, name string) string {
		for taken[name] {
			name += "_"
		}
		taken[name] = true
		return name
	}
	taken := map[string]bool{}
	for f := range prog.fields {
		if len(cands[f]) > 0 && !(r.opts.Nested && (prog.fields[f].own || prog.fields[f].res)) {
			taken[prog.fields[f].name] = true
		}
	}
	for i, g := range groups {
		if len(g) > 0 && prog.families[i].grouped {
			taken[strings.TrimSuffix(prog.families[i].name, ".")] = true
		}
	}
	member2 := func(name string, m member) op {
		name = unique(taken, name)
		return op{kind: opValue, conv: m.conv, src: m.src, name: name, json: jsonKey(name), alone: true}
	}
	attributes := func() {
		for i, g := range groups {
			ft := &prog.families[i]
			if len(g) == 0 {
				continue
			}
			if ft.grouped {
				p.ops = append(p.ops, op{kind: opOpen, json: ft.json})
			}
			members := map[string]bool{}
			for _, m := range g {
				o := member2(ft.name+r.customRest(m.name), m)
				if ft.grouped {
					o.json = jsonKey(unique(members, m.name))
				}
				emit(o)
			}
			if ft.grouped {
				p.ops = append(p.ops, op{kind: opClose})
			}
		}
		for _, m := range others {
			emit(member2(m.name, m))
		}
	}
	if !r.opts.Nested || r.opts.Schema != OTel {
		for f := range prog.fields {
			field(f)
		}
		attributes()
		for _, m := range resOthers {
			emit(member2(m.name, m))
		}
		return
	}
	isRecord := make([]bool, len(prog.fields))
	for _, t := range prog.record {
		isRecord[t.field] = true
		field(t.field)
	}
	open := func(key string) { p.ops = append(p.ops, op{kind: opOpen, json: append(jsonKey(key), '{')}) }
	end := func() { p.ops = append(p.ops, op{kind: opClose}) }
	open("attributes")
	for f := range prog.fields {
		if !isRecord[f] && !prog.fields[f].res {
			field(f)
		}
	}
	attributes()
	end()
	open("resource")
	open("attributes")
	clear(taken)
	for f := range prog.fields {
		if prog.fields[f].res {
			taken[prog.fields[f].name] = len(cands[f]) > 0
			field(f)
		}
	}
	for _, m := range resOthers {
		emit(member2(m.name, m))
	}
	end()
	end()
	open("scope")
	p.ops = append(p.ops, op{kind: opRecord, record: recScope, json: jsonKey("name")}, op{kind: opRecord, record: recScopeVersion, json: jsonKey("version")})
	end()
}

func (o Options) isOTel() bool { return o.Schema == OTel }

// finish derives what is left from p.ops.
func (p *plan) finish() {
	p.doc = p.doc[:0]
	for _, o := range p.ops {
		if o.kind != opConst {
			p.doc = append(p.doc, o)
			continue
		}
		text := slices.Clone(o.json)
		switch {
		case o.number:
			text = append(text, o.value...)
		case o.values != nil:
			text = append(text, '[')
			for i, v := range o.values {
				if i > 0 {
					text = append(text, ',')
				}
				text = jsontext.AppendString(text, v)
			}
			text = append(text, ']')
		default:
			text = jsontext.AppendString(text, o.value)
		}
		text = append(text, ',')
		if n := len(p.doc) - 1; n >= 0 && o.alone && p.doc[n].kind == opConst && p.doc[n].alone {
			p.doc[n].json = append(p.doc[n].json, text...)
			continue
		}
		o.json = text
		p.doc = append(p.doc, o)
	}
}

// compileEdits works out, from p.ops, how n attributes become the fields with
// as little change as possible. A field mostly takes the place of an attribute
// that it comes from. Fields that read other attributes too come first, so
// that none reads what has changed already.
func (p *plan) compileEdits(n int) {
	if p.edited {
		return
	}
	p.edited = true
	p.edits, p.texts, p.renames, p.dead, p.added = p.edits[:0], nil, p.renames[:0], p.dead[:0], 0

	// Operations that belong together: the alternatives for one field, a set.
	var units [][]op
	var consts []acct.Attr
	for i := 0; i < len(p.ops); {
		o, end := p.ops[i], i+1
		switch o.kind {
		case opOpen, opClose:
			i++
			continue
		case opAdd:
			for p.ops[end-1].kind != opSet {
				end++
			}
		case opConst:
			if o.alone && o.values == nil {
				consts = append(consts, o.constant())
				i++
				continue
			}
			end += int(o.skip)
		default:
			end += int(o.skip)
		}
		units = append(units, slices.Clone(p.ops[i:end]))
		i = end
	}

	// The owner of an attribute's place: best a field with its name and value,
	// then one with its value, then any alone.
	owner := make([]*op, n)
	unitOf := make([]int, n)
	for _, accept := range []func(o *op) bool{
		func(o *op) bool { return o.alone && o.conv == Same && o.name == p.keys[o.src] },
		func(o *op) bool { return o.alone && o.conv == Same },
		func(o *op) bool { return o.alone },
		func(*op) bool { return true },
	} {
		for u := range units {
			for i := range units[u] {
				if o := &units[u][i]; o.kind == opValue && o.src < resBase && owner[o.src] == nil && accept(o) {
					owner[o.src], unitOf[o.src] = o, u
				}
			}
		}
	}
	// A field that changes its own place must not read one that another does.
	changes := func(src int) bool { return owner[src] != nil && !(owner[src].alone && owner[src].conv == Same) }
	for u := range units {
		clash := false
		for _, o := range units[u] {
			clash = clash || (o.kind == opValue || o.kind == opAdd) && o.src < resBase && changes(o.src) && unitOf[o.src] != u
		}
		if !clash {
			continue
		}
		for _, o := range units[u] {
			if o.kind == opValue && o.src < resBase && owner[o.src] != nil && unitOf[o.src] == u {
				owner[o.src] = nil
			}
		}
	}
	var late []edit
	for _, unit := range units {
		change, adds := false, false
		for i := range unit {
			o := &unit[i]
			o.own = o.kind == opValue && o.src < resBase && owner[o.src] == o
			change = change || o.own
			adds = adds || !o.own && o.kind != opAdd
		}
		if o := &unit[0]; o.own && o.alone && o.conv == Same {
			if o.name != p.keys[o.src] {
				p.renames = append(p.renames, rename{o.src, o.name})
			}
			continue
		}
		if adds {
			p.added++
		}
		for i := range unit {
			e := p.newEdit(&unit[i])
			if change {
				late = append(late, e)
			} else {
				p.edits = append(p.edits, e)
			}
		}
	}
	p.edits = append(p.edits, late...)
	for i := range n {
		if owner[i] == nil {
			p.dead = append(p.dead, i)
		}
	}
	p.consts = logslab.Share(consts)
	p.added += max(0, len(consts)-len(p.dead))
}

// edit is an op for attributes that change in place.
type edit struct {
	opKind opKind
	conv   Conv
	record recordSource
	skip   uint8
	own    bool // the field takes the place of its attribute
	number bool
	src    int32 // as of op; for a constant its place in texts
	name   string
}

func (p *plan) newEdit(o *op) edit {
	e := edit{opKind: o.kind, conv: o.conv, record: o.record, skip: o.skip, own: o.own, number: o.number, src: int32(o.src), name: o.name}
	if o.kind == opConst {
		e.src = int32(len(p.texts))
		list := o.values
		if list == nil {
			list = []string{o.value}
		}
		p.texts = append(p.texts, strs(list))
	}
	return e
}

// constant is the attribute of an opConst that is no list.
func (o *op) constant() acct.Attr {
	if o.number {
		n, _ := strconv.ParseInt(o.value, 10, 64)
		return acct.Attr{Key: o.name, Num: n, Kind: acct.KindInt}
	}
	return acct.Attr{Key: o.name, Str: o.value}
}

// strs makes strings that may be shared.
func strs(list []string) []*string {
	out := make([]*string, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// ownField says that a field repeats what the log record has a place for, so
// that it is not wanted among its attributes.
func ownField(s recordSource, name string) bool {
	switch s {
	case recTime:
		return name != "email.delivery_timestamp"
	case recEventName:
		return name != "signature_id"
	case recObserved, recSeverityText, recSeverityNumber, recBody, recTraceID, recSpanID:
		return true
	}
	return false
}

// isRouting tells attributes that are meant for an exporter.
func isRouting(key string) bool { return strings.HasPrefix(key, "com.splunk.") }

// leftOut tells attributes that Options want in no document.
func (r *Renderer) leftOut(key string) bool {
	if !r.opts.NoDataStream {
		return false
	}
	switch key {
	case "data_stream.type", "data_stream.dataset", "data_stream.namespace":
		return true
	}
	return false
}

// customName is the name of an attribute that the table does not know.
func (r *Renderer) customName(key string) string {
	key = validName(key)
	if r.opts.Schema != SplunkCIM || isRouting(key) {
		return key
	}
	if strings.HasPrefix(key, "pmta.") {
		return customCIM(key)
	}
	return strings.ReplaceAll(key, ".", "_")
}

// validName makes a name UTF-8, as jsontext.AppendString would.
func validName(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return string([]rune(name))
}

func (r *Renderer) customRest(rest string) string {
	if r.opts.Schema != SplunkCIM {
		return rest
	}
	return strings.ReplaceAll(rest, ".", "_")
}
