package spool

import "syscall"

var errFull error = syscall.Errno(112)
