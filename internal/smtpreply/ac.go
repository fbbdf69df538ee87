package smtpreply

import (
	"errors"
	"fmt"
)

// maxStates bounds the automaton: states are 16-bit numbers.
const maxStates = 1 << 16

var errTooManyStates = errors.New("too many literals: the automaton needs more than 65536 states")

// automaton finds all of a set of literals in one pass: Aho-Corasick. ASCII
// letters match in either case.
//
// Most states have one way on, so a state is 8 bytes and stands before the
// next of its literal; only where literals branch is there a row with a
// target for every byte. That keeps the whole small enough for a core's own
// cache, which a table of all states by all bytes is not, and text made of
// literals as fast as any other.
type automaton struct {
	class    [256]uint8 // byte -> column; 0 = byte in no literal
	stride   int
	nodes    []acNode
	rows     []uint16 // row*stride + column -> state
	outStart []uint32 // by acNode.out-1: range in outs
	outs     []uint16 // literal numbers
}

// acNode is a state. With a row, next is its number; without, next is the
// state after a byte of column col, and any other byte is looked up from
// state fail.
type acNode struct {
	col  uint8 // 0 with a row
	row  bool
	next uint16
	fail uint16
	out  uint16 // index in outStart + 1; 0 = no literal ends here
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
	parent := []int32{0}
	col := []uint8{0} // of the edge from the parent
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
				parent = append(parent, int32(s))
				col = append(col, a.class[l[j]])
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

	// Number the states along the literals: a state with one edge comes
	// right before the next one.
	only := make([]int32, n) // target of the only edge; 0 = none or several
	onlyCol := make([]uint8, n)
	branch := make([]bool, n)
	for i := range parent {
		switch p := parent[i]; {
		case i == 0:
		case only[p] == 0 && !branch[p]:
			only[p], onlyCol[p] = int32(i), col[i]
		default:
			only[p], branch[p] = 0, true
		}
	}
	branch[0] = true
	num := make([]uint16, n)
	id := 1
	for _, s := range queue { // breadth first: heads of chains in order of depth
		for s != 0 && num[s] == 0 {
			num[s] = uint16(id)
			id++
			s = only[s]
		}
	}
	a.nodes = make([]acNode, n)
	for s := range n {
		node := &a.nodes[num[s]]
		node.fail = num[fail[s]]
		if branch[s] {
			node.row, node.next = true, uint16(len(a.rows)/a.stride)
			for c := range a.stride {
				a.rows = append(a.rows, num[trie[s*a.stride+c]])
			}
		} else if only[s] != 0 {
			node.col, node.next = onlyCol[s], num[only[s]]
		}
		if len(ends[s]) > 0 {
			node.out = uint16(len(a.outStart) + 1)
			a.outStart = append(a.outStart, uint32(len(a.outs)))
			a.outs = append(a.outs, ends[s]...)
		}
	}
	a.outStart = append(a.outStart, uint32(len(a.outs)))
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
	nodes, rows, stride := a.nodes, a.rows, uint32(a.stride)
	var s uint16
	for i, b := range text {
		c := a.class[b]
		n := &nodes[s]
		for !n.row {
			if n.col == c && c != 0 {
				break
			}
			n = &nodes[n.fail]
		}
		if n.row {
			s = rows[uint32(n.next)*stride+uint32(c)]
		} else {
			s = n.next
		}
		o := nodes[s].out
		if o == 0 {
			continue
		}
		for _, l := range a.outs[a.outStart[o-1]:a.outStart[o]] {
			w, m := l>>6, uint64(1)<<(l&63)
			if h.bits[w]&m == 0 {
				h.bits[w] |= m
				h.list = append(h.list, l)
				h.ends[l] = uint16(i + 1)
			}
		}
	}
}
