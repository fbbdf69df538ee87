package mainlog

import (
	"errors"
	"fmt"
)

// matcher finds all of a set of literals in one pass: Aho-Corasick with a full
// table, which for some hundred literals is small. ASCII letters match in
// either case.
type matcher struct {
	class  [256]uint8 // byte -> column; 0 = byte in no literal
	stride int
	next   []uint16   // state*stride + column -> state
	out    [][]uint16 // state -> literals that end here
	any    []bool     // state -> out is not empty
}

const maxMatcherStates = 1 << 15

var errTooManyLiterals = errors.New("too many literals")

// newMatcher builds the matcher for literals in lower case. Literal i is
// reported as bit i.
func newMatcher(literals []string) (*matcher, error) {
	m := &matcher{stride: 1}
	for _, l := range literals {
		for j := range len(l) {
			if b := lower(l[j]); m.class[b] == 0 {
				if m.stride > 255 {
					return nil, errTooManyLiterals
				}
				m.class[b] = uint8(m.stride)
				m.stride++
			}
		}
	}
	for b := byte('A'); b <= 'Z'; b++ {
		m.class[b] = m.class[lower(b)]
	}
	m.next = make([]uint16, m.stride)
	m.out = make([][]uint16, 1)
	for i, l := range literals {
		if l == "" {
			return nil, fmt.Errorf("literal %d is empty", i)
		}
		s := 0
		for j := range len(l) {
			e := s*m.stride + int(m.class[l[j]])
			if m.next[e] == 0 {
				if len(m.out) == maxMatcherStates {
					return nil, errTooManyLiterals
				}
				m.next[e] = uint16(len(m.out))
				m.out = append(m.out, nil)
				m.next = append(m.next, make([]uint16, m.stride)...)
			}
			s = int(m.next[e])
		}
		m.out[s] = append(m.out[s], uint16(i))
	}
	fail := make([]uint16, len(m.out))
	var queue []int
	for c := range m.stride {
		if t := m.next[c]; t != 0 {
			queue = append(queue, int(t))
		}
	}
	for qi := 0; qi < len(queue); qi++ {
		s := queue[qi]
		m.out[s] = append(m.out[s], m.out[fail[s]]...)
		for c := range m.stride {
			e := s*m.stride + c
			f := m.next[int(fail[s])*m.stride+c]
			if t := m.next[e]; t != 0 {
				fail[t] = f
				queue = append(queue, int(t))
			} else {
				m.next[e] = f
			}
		}
	}
	m.any = make([]bool, len(m.out))
	for s := range m.out {
		m.any[s] = len(m.out[s]) > 0
	}
	return m, nil
}

// scan sets in bits the literals that occur in s. It reports whether there is
// one.
func (m *matcher) scan(s string, bits []uint64) bool {
	clear(bits)
	state, found := 0, false
	for i := range len(s) {
		state = int(m.next[state*m.stride+int(m.class[s[i]])])
		if m.any[state] {
			found = true
			for _, l := range m.out[state] {
				bits[l>>6] |= 1 << (l & 63)
			}
		}
	}
	return found
}
