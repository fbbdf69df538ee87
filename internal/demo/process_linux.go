package demo

import (
	"os"
	"os/exec"
	"syscall"
)

// detach keeps the terminal's Ctrl-C away from the child and ends it if this
// program dies.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func interrupt(cmd *exec.Cmd) { _ = cmd.Process.Signal(os.Interrupt) }
