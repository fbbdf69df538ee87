package smtpreply

import (
	"sync"
	"testing"
)

var builtIn = sync.OnceValues(func() (*engine, error) { return compile("", nil) })

func testEngine(t testing.TB) *engine {
	t.Helper()
	e, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestRules runs the examples of every rule. A rule without an example that
// it wins could be dead, so that fails too.
func TestRules(t *testing.T) {
	e := testEngine(t)
	for i := range e.rules {
		if len(e.sources[i].Examples) == 0 {
			t.Errorf("rule %q has no example", e.rules[i].id)
		}
		if err := e.checkExamples(i); err != nil {
			t.Errorf("rule %q, line %d: %v", e.rules[i].id, e.sources[i].line, err)
		}
	}
}
