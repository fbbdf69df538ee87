//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"syscall"
)

func runAs(cmd *exec.Cmd, uid uint32) {
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
}
