//go:build windows

package tail

import (
	"os"

	"golang.org/x/sys/windows"
)

func statPath(path string) (stat, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return stat{}, err
	}
	return statOf(fi, path, nil)
}

func statFile(fh *os.File) (stat, error) {
	fi, err := fh.Stat()
	if err != nil {
		return stat{}, err
	}
	return statOf(fi, fh.Name(), fh)
}

// statOf asks the volume for the file index, which needs a handle.
func statOf(fi os.FileInfo, path string, fh *os.File) (stat, error) {
	s := stat{size: fi.Size(), mtime: fi.ModTime().UnixNano(), links: 1, regular: fi.Mode().IsRegular(), dir: fi.IsDir()}
	if s.dir {
		return s, nil
	}
	h := windows.InvalidHandle
	if fh != nil {
		h = windows.Handle(fh.Fd())
	} else {
		var err error
		if h, err = share(path, 0); err != nil {
			return s, &os.PathError{Op: "open", Path: path, Err: err}
		}
		defer func() { _ = windows.CloseHandle(h) }()
	}
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return s, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	s.key = fileKey{Dev: uint64(info.VolumeSerialNumber), Ino: uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow)}
	s.links = uint64(info.NumberOfLinks)
	// The directory entry lags behind while the writer holds the file open.
	s.size = int64(info.FileSizeHigh)<<32 | int64(info.FileSizeLow)
	s.mtime = info.LastWriteTime.Nanoseconds()
	return s, nil
}

// share opens with every share mode, so that PMTA can rename and delete.
func share(path string, access uint32) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return windows.InvalidHandle, err
	}
	return windows.CreateFile(p, access, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE,
		nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
}

func openRead(path string) (*os.File, error) {
	h, err := share(path, windows.GENERIC_READ)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

func staleHandle(error) bool { return false }
