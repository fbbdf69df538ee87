package rulefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// Error says where in a file of rules something is wrong.
type Error struct {
	File string
	Line int
	What string // what an entry is called, such as "rule"
	ID   string // of the entry, "" when it has none
	Err  error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d: ", e.File, e.Line)
	if e.ID != "" {
		s += fmt.Sprintf("%s %q: ", e.What, e.ID)
	}
	return s + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Decode reads YAML into v and refuses keys that v has no place for. Nothing at
// all is no error.
func Decode(data []byte, v any) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Entries decodes the entries of a file one by one, so that an error, always an
// *Error, names the line and the entry. Each has to be a mapping of the keys in
// fields, which Decode does not check below a node, with an "id" of its own.
// what is how an entry is called; line gets the place of entry i.
func Entries[T any](file, what string, nodes []yaml.Node, fields map[string]bool, line func(e *T, line int)) ([]T, error) {
	out := make([]T, len(nodes))
	seen := make(map[string]int, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		id := ""
		fail := func(line int, err error) error { return &Error{file, line, what, id, err} }
		if n.Kind != yaml.MappingNode {
			return nil, fail(n.Line, fmt.Errorf("a %s must be a mapping", what))
		}
		for k := 0; k+1 < len(n.Content); k += 2 {
			if n.Content[k].Value == "id" {
				id = n.Content[k+1].Value
			}
		}
		for k := 0; k+1 < len(n.Content); k += 2 {
			if key := n.Content[k]; !fields[key.Value] {
				return nil, fail(key.Line, fmt.Errorf("unknown field %q", key.Value))
			}
		}
		if err := n.Decode(&out[i]); err != nil {
			return nil, fail(n.Line, err)
		}
		if id == "" {
			return nil, fail(n.Line, errors.New("id is missing"))
		}
		if l, dup := seen[id]; dup {
			return nil, fail(n.Line, fmt.Errorf("id is used on line %d already", l))
		}
		seen[id] = n.Line
		line(&out[i], n.Line)
	}
	return out, nil
}
