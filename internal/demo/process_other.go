//go:build !linux

package demo

import (
	"os"
	"os/exec"
	"runtime"
)

func detach(*exec.Cmd) {}

// interrupt asks the child to end. Windows knows no such request for a child
// without a console of its own, so there it is ended.
func interrupt(cmd *exec.Cmd) {
	if runtime.GOOS == "windows" {
		_ = cmd.Process.Kill()
		return
	}
	_ = cmd.Process.Signal(os.Interrupt)
}
