package smtpreply

import (
	"errors"
	"fmt"
)

// maxStates bounds the automaton: states are 16-bit numbers.
const maxStates = 1 << 16

var errTooManyStates = errors.New("too many literals: the automaton needs more than 65536 states")

// automaton finds all of a set of literals in one pass: Aho-Corasick as a
// dense table, one step per byte. ASCII letters match in either case. States
// that end a literal have the highest numbers, so the loop needs one compare
// to know that there is nothing to report.
type automaton struct {
	class    [256]uint8 // byte -> column; 0 = byte in no literal
	stride   int
	next     []uint16 // state*stride + column -> state
	firstOut uint16   // states from here on end at least one literal
	outStart []uint32 // for state-firstOut: range in outs
	outs     []uint16 // literal numbers
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// newAutomaton builds the automaton for literals, which must not be empty.
// Literal i is reported as number i.
func newAutomaton(literals []string) (*automaton, error) {
	if len(literals) > maxStates {
		return nil, errTooManyStates
	}
	a := &automaton{stride: 1}
	for i, l := range literals {
		if l == "" {
			return nil, fmt.Errorf("literal %d is empty", i)
		}
		for j := range len(l) {
			if b := lower(l[j]); a.class[b] == 0 {
				if a.stride > 255 {
					return nil, errors.New("literals use too many different bytes")
				}
				a.class[b] = uint8(a.stride)
				a.stride++
			}
		}
	}
	for b := byte('A'); b <= 'Z'; b++ {
		a.class[b] = a.class[lower(b)]
	}

	// Trie.
	trie := make([]int32, a.stride) // 0 = no edge; the root is never a target
	ends := [][]uint16{nil}
	for i, l := range literals {
		s := 0
		for j := range len(l) {
			e := s*a.stride + int(a.class[l[j]])
			if trie[e] == 0 {
				if len(ends) == maxStates {
					return nil, errTooManyStates
				}
				trie[e] = int32(len(ends))
				ends = append(ends, nil)
				trie = append(trie, make([]int32, a.stride)...)
			}
			s = int(trie[e])
		}
		ends[s] = append(ends[s], uint16(i))
	}

	// Failure links, breadth first; missing edges become those of the link.
	n := len(ends)
	fail := make([]int32, n)
	queue := make([]int32, 0, n)
	for c := range a.stride {
		if t := trie[c]; t != 0 {
			queue = append(queue, t)
		}
	}
	for qi := 0; qi < len(queue); qi++ {
		s := queue[qi]
		ends[s] = append(ends[s], ends[fail[s]]...)
		for c := range a.stride {
			e := int(s)*a.stride + c
			f := trie[int(fail[s])*a.stride+c]
			if t := trie[e]; t != 0 {
				fail[t] = f
				queue = append(queue, t)
			} else {
				trie[e] = f
			}
		}
	}

	// Renumber: silent states first, and within both parts in the order of
	// depth, so that the few shallow states where most steps end share
	// cache lines.
	num := make([]uint16, n)
	id := 1 // the root, which is silent, is 0
	for _, s := range queue {
		if len(ends[s]) == 0 {
			num[s] = uint16(id)
			id++
		}
	}
	a.firstOut = uint16(id)
	for _, s := range queue {
		if len(ends[s]) > 0 {
			num[s] = uint16(id)
			id++
			a.outStart = append(a.outStart, uint32(len(a.outs)))
			a.outs = append(a.outs, ends[s]...)
		}
	}
	a.outStart = append(a.outStart, uint32(len(a.outs)))
	if len(literals) == 0 {
		a.firstOut = 1 // never reached
	}
	a.next = make([]uint16, n*a.stride)
	for s := range n {
		for c := range a.stride {
			a.next[int(num[s])*a.stride+c] = num[trie[s*a.stride+c]]
		}
	}
	return a, nil
}

// rename gives literal i the number names[i].
func (a *automaton) rename(names []uint16) {
	for i, l := range a.outs {
		a.outs[i] = names[l]
	}
}

// hitSet is what a scan found.
type hitSet struct {
	bits []uint64 // literal number -> seen
	list []uint16 // literal numbers in the order of first sight
	ends []uint16 // literal number -> offset after its first occurrence, where bits says it was seen
}

func (h *hitSet) reset(literals int) {
	for _, l := range h.list {
		h.bits[l>>6] = 0
	}
	h.list = h.list[:0]
	if len(h.ends) < literals {
		h.ends = make([]uint16, literals)
	}
	if words := (literals + 63) / 64; len(h.bits) < words {
		h.bits = make([]uint64, words)
	}
}

func (h *hitSet) has(l uint16) bool { return h.bits[l>>6]&(1<<(l&63)) != 0 }

// scan adds to h every literal that occurs in text. Offsets are relative to
// text and hold for texts up to 65535 bytes.
func (a *automaton) scan(text []byte, h *hitSet) {
	next, stride, first := a.next, uint32(a.stride), a.firstOut
	var s uint16
	for i, b := range text {
		s = next[uint32(s)*stride+uint32(a.class[b])]
		if s < first {
			continue
		}
		o := s - first
		for _, l := range a.outs[a.outStart[o]:a.outStart[o+1]] {
			w, m := l>>6, uint64(1)<<(l&63)
			if h.bits[w]&m == 0 {
				h.bits[w] |= m
				h.list = append(h.list, l)
				h.ends[l] = uint16(i + 1)
			}
		}
	}
}
