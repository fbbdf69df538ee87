package mainlog

import "testing"

func TestBuiltinPatterns(t *testing.T) {
	if _, err := LoadPatterns(""); err != nil {
		t.Fatal(err)
	}
}
