//go:build unix && !linux

package tail

import "os"

func statPath(path string) (stat, error) { return plainStatPath(path) }

func statFile(fh *os.File) (stat, error) { return plainStatFile(fh) }
