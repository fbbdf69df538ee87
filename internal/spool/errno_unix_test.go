//go:build unix

package spool

import "syscall"

var errFull error = syscall.ENOSPC
