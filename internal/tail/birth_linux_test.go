package tail

import "testing"

func setBirth(t *testing.T, on bool) {
	withBirth = on
	t.Cleanup(func() { withBirth = true })
}
