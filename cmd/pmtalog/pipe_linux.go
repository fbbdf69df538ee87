package main

import "golang.org/x/sys/unix"

// growPipe asks for the largest pipe that the system gives to anybody. 1 MiB is
// the default of /proc/sys/fs/pipe-max-size; with less the pipe stays as it is.
func growPipe(fd int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, 1<<20) }
