// Package dimension reads the table that gives records the names a user thinks
// in: which stream, customer or warm-up stage a virtual MTA, pool, source
// address, job or message header belongs to.
//
// A table is a CSV file whose header names what to match (vmta, pool,
// source_ip, job_prefix, header_NAME) and, in all other columns, labels; or a
// YAML file with the same content:
//
//   - match: {vmta: promo-*, source_ip: 192.0.2.0/24}
//     labels: {stream: promo}
//
// A row matches when all its conditions hold; an empty cell is no condition.
// Each label comes from the first row that matches and has it.
package dimension // import "github.com/otelcol-pmta/otelcol-pmta/internal/dimension"

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxFileSize is the largest table in bytes, MaxRows the longest.
const (
	MaxFileSize = 16 << 20
	MaxRows     = 100_000
)

// Table is a table in force. It is immutable and safe for several goroutines.
type Table struct {
	rows    []row
	labels  []string // all labels, in the order of their first appearance
	headers []string // lower_snake names of the headers that rows ask for
	// Rows without a condition on vmta are looked at for every record; the
	// others only for the vmta that they name.
	byVMTA map[string][]int32 // exact names, lower case: places in rows
	others []int32            // everything else
}

type row struct {
	line      int
	vmta      pattern
	pool      pattern
	job       bool // there is a condition on the job
	jobPrefix string
	source    netip.Prefix // invalid without a condition
	headers   []headerMatch
	labels    []label
}

type headerMatch struct {
	index int // in Table.headers
	value pattern
}

type label struct {
	index int // in Table.labels
	value string
}

// pattern is a text to compare with, ASCII letters in either case; with a
// trailing * only the beginning counts. "" matches everything.
type pattern struct {
	text   string
	prefix bool
	set    bool
}

func newPattern(s string) pattern {
	if t, ok := strings.CutSuffix(s, "*"); ok {
		return pattern{t, true, true}
	}
	return pattern{s, false, s != ""}
}

func (p pattern) match(s string) bool {
	if !p.set {
		return true
	}
	if p.prefix {
		return len(s) >= len(p.text) && s != "" && strings.EqualFold(s[:len(p.text)], p.text)
	}
	return strings.EqualFold(s, p.text)
}

// Input is what a record offers to a table. Empty fields match no condition.
type Input struct {
	VMTA, Pool, SourceIP, Job string
	// Headers holds the values of Table.Headers, in that order.
	Headers []string
}

// Label is a label of a record.
type Label struct{ Name, Value string }

// Headers returns the lower_snake names of the headers that the table asks
// for. The caller must not change it.
func (t *Table) Headers() []string { return t.headers }

// Labels returns the names of all labels. The caller must not change it.
func (t *Table) Labels() []string { return t.labels }

// Len returns the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Lookup appends the labels of in to dst, in the order of Labels.
func (t *Table) Lookup(dst []Label, in *Input) []Label {
	ip, err := netip.ParseAddr(in.SourceIP)
	if err == nil {
		ip = ip.Unmap()
	}
	got := make([]string, len(t.labels))
	left := len(t.labels)
	// The rows of this vmta and those for all, merged in file order.
	own, others := t.byVMTA[strings.ToLower(in.VMTA)], t.others
	for left > 0 && (len(own) > 0 || len(others) > 0) {
		var n int32
		if len(others) == 0 || len(own) > 0 && own[0] < others[0] {
			n, own = own[0], own[1:]
		} else {
			n, others = others[0], others[1:]
		}
		r := &t.rows[n]
		if !r.match(in, ip) {
			continue
		}
		for _, l := range r.labels {
			if got[l.index] == "" {
				got[l.index] = l.value
				left--
			}
		}
	}
	for i, v := range got {
		if v != "" {
			dst = append(dst, Label{t.labels[i], v})
		}
	}
	return dst
}

func (r *row) match(in *Input, ip netip.Addr) bool {
	if !r.vmta.match(in.VMTA) || !r.pool.match(in.Pool) {
		return false
	}
	if r.job && (in.Job == "" || !strings.HasPrefix(in.Job, r.jobPrefix)) {
		return false
	}
	if r.source.IsValid() && !(ip.IsValid() && r.source.Contains(ip)) {
		return false
	}
	for _, h := range r.headers {
		if h.index >= len(in.Headers) || !h.value.match(in.Headers[h.index]) {
			return false
		}
	}
	return true
}

// Load reads a table: YAML when the name ends in .yaml or .yml, CSV
// otherwise. An error names the file, the line and the reason.
func Load(file string) (*Table, error) {
	t, _, err := load(file)
	return t, err
}

func load(file string) (*Table, []byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, err // names the file
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(data) > MaxFileSize {
		return nil, data, fmt.Errorf("%s: is larger than %d MiB", file, MaxFileSize>>20)
	}
	parse := ParseCSV
	if ext := strings.ToLower(filepath.Ext(file)); ext == ".yaml" || ext == ".yml" {
		parse = ParseYAML
	}
	t, err := parse(data)
	if err != nil {
		return nil, data, fmt.Errorf("%s: %w", file, err)
	}
	return t, data, nil
}

// builder collects rows and checks them.
type builder struct {
	t      Table
	labels map[string]int
	heads  map[string]int
}

func newBuilder() *builder {
	return &builder{labels: map[string]int{}, heads: map[string]int{}}
}

// isMatch tells whether name is a condition rather than a label.
func isMatch(name string) bool {
	switch name {
	case "vmta", "pool", "source_ip", "job_prefix":
		return true
	}
	return strings.HasPrefix(strings.ToLower(name), "header_")
}

func checkLabel(name string) error {
	if name == "" {
		return errors.New("a label has no name")
	}
	if len(name) > 64 {
		return fmt.Errorf("label %q: the name is longer than 64 bytes", name[:64])
	}
	for i := range len(name) {
		if c := name[i]; !(c >= 'a' && c <= 'z' || i > 0 && (c >= '0' && c <= '9' || c == '_')) {
			return fmt.Errorf("label %q: use lower-case letters, digits and _ (conditions are vmta, pool, source_ip, job_prefix and header_NAME)", name)
		}
	}
	return nil
}

func (b *builder) condition(r *row, name, value string) error {
	if value == "" {
		return nil
	}
	switch name {
	case "vmta":
		r.vmta = newPattern(value)
	case "pool":
		r.pool = newPattern(value)
	case "job_prefix":
		r.job, r.jobPrefix = true, strings.TrimSuffix(value, "*") // it is a prefix without one, too
	case "source_ip":
		p, err := parseSource(value)
		if err != nil {
			return err
		}
		r.source = p
	default:
		h := snake(name[len("header_"):])
		if h == "" {
			return fmt.Errorf("%s: name a header, for example header_X-Tenant", name)
		}
		i, ok := b.heads[h]
		if !ok {
			i = len(b.t.headers)
			b.heads[h] = i
			b.t.headers = append(b.t.headers, h)
		}
		r.headers = append(r.headers, headerMatch{i, newPattern(value)})
	}
	return nil
}

func parseSource(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return p, fmt.Errorf("source_ip %q is no address and no network; write for example 192.0.2.7 or 192.0.2.0/24", s)
		}
		if p.Addr().Is4In6() {
			return p, fmt.Errorf("source_ip %q: write an IPv4 network as 192.0.2.0/24", s)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("source_ip %q is no address and no network; write for example 192.0.2.7 or 192.0.2.0/24", s)
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// snake makes the name of a header as the decoder does: lower case, _ for
// anything but ASCII letters, digits and bytes beyond ASCII.
func snake(s string) string {
	b := []byte(strings.ToLower(s))
	for i, c := range b {
		if c < 0x80 && !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z') {
			b[i] = '_'
		}
	}
	return string(b)
}

func (b *builder) label(r *row, name, value string) error {
	if value == "" {
		return nil
	}
	if !utf8.ValidString(value) || len(value) > 1024 {
		return fmt.Errorf("label %s: the value is no text or longer than 1024 bytes", name)
	}
	i, ok := b.labels[name]
	if !ok {
		i = len(b.t.labels)
		b.labels[name] = i
		b.t.labels = append(b.t.labels, name)
	}
	r.labels = append(r.labels, label{i, value})
	return nil
}

func (b *builder) add(r row) error {
	if len(r.labels) == 0 {
		return errors.New("the row gives no label")
	}
	if len(b.t.rows) >= MaxRows {
		return fmt.Errorf("the table has more than %d rows", MaxRows)
	}
	b.t.rows = append(b.t.rows, r)
	return nil
}

func (b *builder) table() *Table {
	t := &b.t
	t.byVMTA = map[string][]int32{}
	for i := range t.rows {
		if p := t.rows[i].vmta; p.set && !p.prefix {
			k := strings.ToLower(p.text)
			t.byVMTA[k] = append(t.byVMTA[k], int32(i))
		} else {
			t.others = append(t.others, int32(i))
		}
	}
	return t
}

func atLine(line int, err error) error { return fmt.Errorf("line %d: %w", line, err) }

// ParseCSV reads a table in CSV: UTF-8, comma, a header line, lines that begin
// with # left out. Errors name the line.
func ParseCSV(data []byte) (*Table, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, errors.New("the file is not UTF-8 text")
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comment = '#'
	r.TrimLeadingSpace = true
	r.FieldsPerRecord = -1 // checked here, for an error with both numbers
	head, err := r.Read()
	if err == io.EOF {
		return nil, errors.New("line 1: the file is empty; the first line names the columns")
	}
	if err != nil {
		return nil, csvError(err)
	}
	head = slices.Clone(head)
	line, _ := r.FieldPos(0)
	seen, labels := map[string]bool{}, 0
	for i, name := range head {
		name = strings.TrimSpace(name)
		head[i] = name
		key := name
		if strings.HasPrefix(strings.ToLower(name), "header_") {
			key = snake(name)
		}
		if !isMatch(name) {
			labels++
			if err := checkLabel(name); err != nil {
				return nil, atLine(line, err)
			}
		}
		if seen[key] {
			return nil, atLine(line, fmt.Errorf("column %q is there twice", name))
		}
		seen[key] = true
	}
	if labels == 0 {
		return nil, atLine(line, errors.New("there is no column for a label"))
	}
	if labels == len(head) {
		return nil, atLine(line, errors.New("there is no column to match; use vmta, pool, source_ip, job_prefix or header_NAME"))
	}
	b := newBuilder()
	for {
		rec, err := r.Read()
		if err == io.EOF {
			return b.table(), nil
		}
		if err != nil {
			return nil, csvError(err)
		}
		line, _ := r.FieldPos(0)
		if len(rec) != len(head) {
			return nil, atLine(line, fmt.Errorf("%d fields, the header has %d", len(rec), len(head)))
		}
		row := row{line: line}
		for i, v := range rec {
			v = strings.Clone(strings.TrimSpace(v))
			if isMatch(head[i]) {
				err = b.condition(&row, head[i], v)
			} else {
				err = b.label(&row, head[i], v)
			}
			if err != nil {
				return nil, atLine(line, err)
			}
		}
		if err := b.add(row); err != nil {
			return nil, atLine(line, err)
		}
	}
}

func csvError(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return atLine(p.StartLine, p.Err) // where the record with the open quote begins
	}
	return err
}

// ParseYAML reads a table in YAML: a list of entries with match and labels.
// Errors name the line.
func ParseYAML(data []byte) (*Table, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		// "yaml: line 3: ..." names the line already.
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if doc.Kind == 0 {
		return nil, errors.New("line 1: the file is empty")
	}
	list := doc.Content[0]
	if list.Kind != yaml.SequenceNode {
		return nil, atLine(list.Line, errors.New("write a list: - match: {vmta: v1}, labels: {stream: a}"))
	}
	b := newBuilder()
	for _, n := range list.Content {
		if n.Kind != yaml.MappingNode {
			return nil, atLine(n.Line, errors.New("an entry is {match: {...}, labels: {...}}"))
		}
		r := row{line: n.Line}
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if k.Value != "match" && k.Value != "labels" {
				return nil, atLine(k.Line, fmt.Errorf("%q is not known; an entry has match and labels", k.Value))
			}
			if seen[k.Value] {
				return nil, atLine(k.Line, fmt.Errorf("%s is there twice", k.Value))
			}
			seen[k.Value] = true
			if v.Kind != yaml.MappingNode {
				return nil, atLine(v.Line, fmt.Errorf("%s: write {name: value}", k.Value))
			}
			for j := 0; j+1 < len(v.Content); j += 2 {
				name, val := v.Content[j], v.Content[j+1]
				if val.Kind != yaml.ScalarNode {
					return nil, atLine(val.Line, fmt.Errorf("%s: the value is no text", name.Value))
				}
				if seen[k.Value+"."+name.Value] {
					return nil, atLine(name.Line, fmt.Errorf("%s is there twice", name.Value))
				}
				seen[k.Value+"."+name.Value] = true
				value := strings.TrimSpace(val.Value)
				if val.Tag == "!!null" {
					value = ""
				}
				var err error
				if k.Value == "match" {
					if !isMatch(name.Value) {
						err = fmt.Errorf("%q is not known; use vmta, pool, source_ip, job_prefix or header_NAME", name.Value)
					} else {
						err = b.condition(&r, name.Value, value)
					}
				} else if err = checkLabel(name.Value); err == nil {
					err = b.label(&r, name.Value, value)
				}
				if err != nil {
					return nil, atLine(val.Line, err)
				}
			}
		}
		if err := b.add(r); err != nil {
			return nil, atLine(n.Line, err)
		}
	}
	return b.table(), nil
}
