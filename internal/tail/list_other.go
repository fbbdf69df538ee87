//go:build !linux

package tail

import "os"

// listDir calls fn for every entry of a directory; the inode is not known, so
// the caller has to stat what it cares for.
func listDir(path string, _ []byte, fn func(name []byte, ino uint64, kind entryKind)) error {
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		fn([]byte(e.Name()), 0, kindOf(e.Type()))
	}
	return err
}
