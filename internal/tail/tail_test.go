package tail

import (
	"testing"
	"time"
)

func TestReadAppendedAndPartialLine(t *testing.T) {
	h := newHarness(t)
	h.write("acct-2026-01-31-0000.csv", header, rec("a"))
	h.step(0)
	h.want("a")
	r := rec("b")
	h.write("acct-2026-01-31-0000.csv", r[:10])
	h.step(time.Second)
	h.want()
	h.write("acct-2026-01-31-0000.csv", r[10:], rec("c"))
	h.step(time.Second)
	h.want("b", "c")
	h.restart()
	h.step(time.Second)
	h.write("acct-2026-01-31-0000.csv", rec("d"))
	h.step(time.Second)
	h.want("d")
}
