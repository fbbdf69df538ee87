package main

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// releaseStartup gives back the pages of the program file that starting has
// touched: the initialisers of all libraries are most of them, and none runs
// again. What is needed after all comes back from the page cache, a page fault
// each. started is told how many bytes of files were resident before most of
// them were given back; it is not called when that cannot be known.
func releaseStartup(started func(resident int)) {
	releaseProgramPages()
	go func() {
		// Again when the components have started.
		for i, wait := range []time.Duration{200 * time.Millisecond, 800 * time.Millisecond, 9 * time.Second} {
			time.Sleep(wait)
			if i == 0 {
				if status, err := os.ReadFile("/proc/self/status"); err == nil {
					if n := residentFiles(string(status)); n > 0 {
						started(n)
					}
				}
			}
			releaseProgramPages()
		}
	}()
}

// residentFiles returns the bytes of files in memory, by /proc/self/status; 0
// when it does not say.
func residentFiles(status string) int {
	_, rest, _ := strings.Cut(status, "\nRssFile:")
	f := strings.Fields(rest)
	if len(f) < 2 || f[1] != "kB" {
		return 0
	}
	n, err := strconv.Atoi(f[0])
	if err != nil {
		return 0
	}
	return n << 10
}

// releaseMemory gives back the pages of b, all zeros, until they are touched.
func releaseMemory(b []byte) {
	page := os.Getpagesize()
	skip := page - 1 - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))-1)%page
	if b = b[skip:]; len(b) >= page {
		_ = unix.Madvise(b[:len(b)/page*page], unix.MADV_DONTNEED) // else they stay
	}
}

func releaseProgramPages() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer func() { _ = smaps.Close() }()
	for _, r := range programPages(smaps, exe) {
		// An error leaves the pages where they are. In huge pages, which a freshly
		// written file may have in the page cache, one fault would bring back 2 MB.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r[0], r[1]-r[0], unix.MADV_NOHUGEPAGE)
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r[0], r[1]-r[0], unix.MADV_DONTNEED)
	}
}

// programPages returns the ranges, from and to, of memory that is as it is in
// the program file exe, by /proc/self/smaps. A mapping that cannot be written
// may have been written all the same: the dynamic linker fills in addresses
// first and makes the page read-only then (RELRO). Such pages do not come back
// from the file; they count as anonymous.
func programPages(smaps io.Reader, exe string) (ranges [][2]uintptr) {
	var candidate [2]uintptr
	for s := bufio.NewScanner(smaps); s.Scan(); {
		// Address, permissions, offset, device, inode, path; then lines with a
		// name and a colon.
		f := strings.Fields(s.Text())
		switch {
		case len(f) == 0:
		case f[0] == "Anonymous:":
			if candidate[1] != 0 && len(f) > 1 && f[1] == "0" {
				ranges = append(ranges, candidate)
			}
			candidate = [2]uintptr{}
		case !strings.HasSuffix(f[0], ":"):
			candidate = [2]uintptr{}
			if len(f) < 6 || f[1][1] != '-' || strings.Join(f[5:], " ") != exe {
				continue
			}
			from, to, _ := strings.Cut(f[0], "-")
			begin, err1 := strconv.ParseUint(from, 16, 64)
			end, err2 := strconv.ParseUint(to, 16, 64)
			if err1 == nil && err2 == nil {
				candidate = [2]uintptr{uintptr(begin), uintptr(end)}
			}
		}
	}
	return ranges
}
