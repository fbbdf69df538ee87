package logslab

import "sync"

var expected struct {
	sync.Mutex
	most map[string]int
}

// Expect tells whoever makes records in this process that a component will add
// up to n attributes to them. Each kind of component counts once. It is a hint:
// room that was left saves a copy of all attributes of a record.
func Expect(component string, n int) {
	expected.Lock()
	defer expected.Unlock()
	if expected.most == nil {
		expected.most = map[string]int{}
	}
	expected.most[component] = max(expected.most[component], n)
}

// Expected returns how many attributes components will add in all, see
// [Slab].Spare.
func Expected() (n int) {
	expected.Lock()
	defer expected.Unlock()
	for _, m := range expected.most {
		n += m
	}
	return n
}
