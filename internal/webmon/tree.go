package webmon

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// What a page may have at most. A page of 1,000 queues with ten errors each
// has 40,000 nodes and a depth of 6.
const (
	maxDepth = 32
	maxNodes = 400_000
	maxName  = 512  // bytes of a queue, domain, vMTA or job name
	maxText  = 2048 // bytes of any other text
)

// The ways a page can be of no use. Errors of this package wrap them.
var (
	// ErrFormat is for what is neither JSON nor XML, or ends early.
	ErrFormat = errors.New("the answer is neither JSON nor XML")
	// ErrHTML is for a web page meant for people.
	ErrHTML = errors.New("the answer is a web page for people")
	// ErrTooLarge is for a page beyond the limits of size, depth or number of
	// values.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrPage is for a well-formed answer that is not the page asked for.
	ErrPage = errors.New("the answer is another page than the one asked for")
)

// FailError is PowerMTA's own "no": "status":"fail" in JSON.
type FailError struct {
	Message string // as PowerMTA says it, may be empty
}

// Error implements error.
func (e *FailError) Error() string {
	if e.Message == "" {
		return "PowerMTA refused the request without saying why"
	}
	return "PowerMTA refused the request: " + e.Message
}

// node is a JSON value or XML element.
type node struct {
	name  string // empty for items of a JSON array
	text  string // of a value that is no object or array
	kids  []*node
	array bool // JSON array
}

// Format is how a page is written.
type Format string

// The formats of a page; each is also the value of the request's parameter.
const (
	JSON Format = "json"
	XML  Format = "xml"
)

// detect tells the format by the first byte that matters.
func detect(page []byte) (Format, error) {
	b := bytes.TrimLeft(bytes.TrimPrefix(page, []byte("\ufeff")), " \t\r\n")
	switch {
	case len(b) == 0:
		return "", fmt.Errorf("%w: it is empty", ErrFormat)
	case b[0] == '{' || b[0] == '[':
		return JSON, nil
	case b[0] != '<':
		return "", fmt.Errorf("%w: it begins with %q", ErrFormat, head(b, 20))
	}
	start := strings.ToLower(string(b[:min(len(b), 512)]))
	if strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html") || strings.Contains(start, "<html") {
		return "", ErrHTML
	}
	return XML, nil
}

func head(b []byte, n int) string {
	if len(b) > n {
		b = b[:n]
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// parse makes the tree of a page, which is what is inside the envelope, or says
// why not. said tells whether the page confirms that the request succeeded.
func parse(page []byte) (data *node, said bool, err error) {
	format, err := detect(page)
	if err != nil {
		return nil, false, err
	}
	var top *node
	if format == JSON {
		top, err = parseJSON(page)
	} else {
		top, err = parseXML(page)
	}
	if err != nil {
		return nil, false, err
	}
	return open(top)
}

// open takes off the envelope: {"data":{},"status":"success","message":""} or
// <rsp><data/><succ/></rsp>.
func open(top *node) (data *node, said bool, err error) {
	verdict := ""
	if s := top.child("status"); s != nil && len(s.kids) == 0 {
		verdict = strings.ToLower(strings.TrimSpace(s.text))
	}
	if verdict == "fail" {
		return nil, false, &FailError{Message: limit(top.str("message"), maxText)}
	}
	said = verdict == "success" || top.has("succ")
	if !said {
		if f := top.child("fail", "err", "error"); f != nil {
			return nil, false, &FailError{Message: limit(f.allText(), maxText)}
		}
	}
	if data = top.child("data"); data == nil {
		data = top // without an envelope
	}
	return data, said, nil
}

type builder struct {
	stack []*node
	nodes int
}

func (b *builder) push(name string, array bool) (*node, error) {
	if b.nodes++; b.nodes > maxNodes {
		return nil, fmt.Errorf("%w: more than %d values", ErrTooLarge, maxNodes)
	}
	if len(b.stack) >= maxDepth {
		return nil, fmt.Errorf("%w: nested more than %d deep", ErrTooLarge, maxDepth)
	}
	n := &node{name: name, array: array}
	if len(b.stack) > 0 {
		up := b.stack[len(b.stack)-1]
		up.kids = append(up.kids, n)
	}
	b.stack = append(b.stack, n)
	return n, nil
}

func (b *builder) pop() { b.stack = b.stack[:len(b.stack)-1] }

func parseJSON(page []byte) (*node, error) {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(page, []byte("\ufeff"))))
	dec.UseNumber()
	var b builder
	var top *node
	key, haveKey := "", false
	bad := func(err error) error { return fmt.Errorf("%w: broken JSON: %v", ErrFormat, err) }
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			if top == nil || len(b.stack) > 0 {
				return nil, bad(io.ErrUnexpectedEOF)
			}
			return top, nil
		}
		if err != nil {
			return nil, bad(err)
		}
		if top != nil && len(b.stack) == 0 {
			return nil, bad(errors.New("more behind the end"))
		}
		if d, ok := tok.(json.Delim); ok && (d == '}' || d == ']') {
			b.pop()
			continue
		}
		if len(b.stack) > 0 && !b.stack[len(b.stack)-1].array && !haveKey {
			key, haveKey = tok.(string)
			continue
		}
		text := ""
		switch v := tok.(type) {
		case json.Delim:
		case string:
			text = v
		case json.Number:
			text = v.String()
		case bool:
			text = "false"
			if v {
				text = "true"
			}
		case nil: // as if it were not there
			if top == nil {
				return nil, bad(errors.New("it is null"))
			}
			key, haveKey = "", false
			continue
		}
		n, err := b.push(key, tok == json.Delim('['))
		if err != nil {
			return nil, err
		}
		key, haveKey = "", false
		if top == nil {
			top = n
		}
		if _, ok := tok.(json.Delim); !ok {
			n.text = text
			b.pop()
		}
	}
}

func parseXML(page []byte) (*node, error) {
	dec := xml.NewDecoder(bytes.NewReader(plain(page)))
	dec.Entity = xml.HTMLEntity
	// plain has made UTF-8 of it, whatever it says it is.
	dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var b builder
	var top *node
	bad := func(err error) error { return fmt.Errorf("%w: broken XML: %v", ErrFormat, err) }
	for {
		tok, err := dec.RawToken()
		if err == io.EOF {
			if top == nil || len(b.stack) > 0 {
				return nil, bad(io.ErrUnexpectedEOF)
			}
			return top, nil
		}
		if err != nil {
			return nil, bad(err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if top != nil && len(b.stack) == 0 {
				return nil, bad(errors.New("more behind the end"))
			}
			n, err := b.push(t.Name.Local, false)
			if err != nil {
				return nil, err
			}
			if top == nil {
				top = n
			}
			for _, a := range t.Attr {
				k, err := b.push(a.Name.Local, false)
				if err != nil {
					return nil, err
				}
				k.text = a.Value
				b.pop()
			}
		case xml.EndElement:
			if len(b.stack) == 0 || b.stack[len(b.stack)-1].name != t.Name.Local {
				return nil, bad(fmt.Errorf("</%s> closes nothing", t.Name.Local))
			}
			b.pop()
		case xml.CharData:
			if len(b.stack) > 0 {
				n := b.stack[len(b.stack)-1]
				if len(n.text) < maxText {
					n.text += string(t)
				}
			}
		}
	}
}

// plain returns the page as UTF-8 without control characters, which XML does
// not allow and which replies of remote hosts may hold. A page that is not
// UTF-8 is taken for Latin-1.
func plain(page []byte) []byte {
	ok := utf8.Valid(page)
	clean := ok
	for _, c := range page {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			clean = false
			break
		}
	}
	if clean {
		return page
	}
	out := make([]byte, 0, len(page)+len(page)/8)
	for i := 0; i < len(page); {
		c := page[i]
		switch {
		case c < ' ' && c != '\n' && c != '\r' && c != '\t':
			out = append(out, ' ')
		case c < utf8.RuneSelf || ok:
			out = append(out, c)
		default:
			out = utf8.AppendRune(out, rune(c))
		}
		i++
	}
	return out
}

// child returns the first child with one of the names.
func (n *node) child(names ...string) *node {
	if n == nil {
		return nil
	}
	for _, name := range names {
		for _, k := range n.kids {
			if strings.EqualFold(k.name, name) {
				return k
			}
		}
	}
	return nil
}

// at follows a path of names.
func (n *node) at(path ...string) *node {
	for _, name := range path {
		n = n.child(name)
	}
	return n
}

// has reports whether a child with one of the names is there.
func (n *node) has(names ...string) bool { return n.child(names...) != nil }

// str returns the text of the first child with one of the names.
func (n *node) str(names ...string) string {
	for _, name := range names {
		if k := n.child(name); k != nil && len(k.kids) == 0 {
			return strings.TrimSpace(k.text)
		}
	}
	return ""
}

// items returns the elements of lists with any of the names: those of a JSON
// array, repeated XML elements, or XML elements inside one that encloses them.
func (n *node) items(names ...string) []*node {
	if n == nil {
		return nil
	}
	var out []*node
	for _, k := range n.kids {
		match := false
		for _, name := range names {
			match = match || strings.EqualFold(k.name, name)
		}
		switch {
		case !match:
		case k.array:
			out = append(out, k.kids...)
		case k.encloses():
			out = append(out, k.kids...)
		case len(k.kids) > 0 || strings.TrimSpace(k.text) != "":
			out = append(out, k)
		}
	}
	return out
}

// encloses reports whether an element only holds elements of one other name,
// as <queues> holds <queue>.
func (n *node) encloses() bool {
	if len(n.kids) == 0 {
		return false
	}
	first := n.kids[0].name
	if !strings.HasPrefix(strings.ToLower(n.name), strings.ToLower(first)) || strings.EqualFold(n.name, first) || first == "" {
		return false
	}
	for _, k := range n.kids {
		if k.name != first {
			return false
		}
	}
	return true
}

// allText joins the texts below n.
func (n *node) allText() string {
	parts := []string{}
	if s := strings.TrimSpace(n.text); s != "" {
		parts = append(parts, s)
	}
	for _, k := range n.kids {
		if s := k.allText(); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// limit cuts s to at most n bytes, at a rune's edge, and makes it valid UTF-8
// without NUL.
func limit(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", " ")
	}
	// A copy, so that a name that is kept does not keep the page.
	return strings.Clone(s)
}
