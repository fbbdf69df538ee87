package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// columns are the 23 default columns, as in the peer's configuration.
const columns = "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta," +
	"dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool"

const timeLayout = "2006-01-02 15:04:05-0700"

var (
	colTime = slices.Index(strings.Split(columns, ","), "timeLogged")
	colJob  = slices.Index(strings.Split(columns, ","), "jobId")
)

// acctFile is an accounting file of known content.
type acctFile struct {
	path    string
	records int
	bytes   int64
	types   map[string]int
}

// prepareInput returns file, or with file "" a simulated one of n records,
// after reading it once: that checks it and puts it into the page cache.
func prepareInput(dir string, n int, file string) (*acctFile, error) {
	if file == "" {
		out := filepath.Join(dir, "simulated")
		cmd := exec.Command(*pmtalogBin, "simulate", "--dir", out, "--records", strconv.Itoa(n), "--seed", "1",
			"--max-size", "0", "--types", "d,b,t,tq", "--mix", "d=80,t=12,b=6,tq=2")
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("pmtalog simulate: %w", err)
		}
		files, err := filepath.Glob(filepath.Join(out, "*.csv"))
		if err != nil {
			return nil, err
		}
		if len(files) != 1 {
			return nil, fmt.Errorf("pmtalog simulate wrote %d files into %s, not one", len(files), out)
		}
		file = files[0]
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	a := &acctFile{path: path, types: map[string]int{}}
	err = a.each(func(row []string, end int64) bool {
		a.types[strings.Clone(row[0])]++
		a.records++
		a.bytes = end
		return true
	})
	if err == nil && a.records == 0 {
		err = fmt.Errorf("%s holds no records", path)
	}
	return a, err
}

// each calls f with every record and the offset behind it until f returns
// false. The row is valid until f returns.
func (a *acctFile) each(f func(row []string, end int64) bool) error {
	in, err := os.Open(a.path)
	if err != nil {
		return err
	}
	defer in.Close()
	r := csv.NewReader(bufio.NewReaderSize(in, 1<<20))
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("%s: %w", a.path, err)
	}
	if got := strings.Join(header, ","); got != columns {
		return fmt.Errorf("%s: columns are %s, the peer is configured for %s", a.path, got, columns)
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", a.path, err)
		}
		if !f(row, r.InputOffset()) {
			return nil
		}
	}
}

// head copies the first n records.
func (a *acctFile) head(path string, n int) (*acctFile, error) {
	h := &acctFile{path: path}
	if err := a.each(func(_ []string, end int64) bool {
		h.records++
		h.bytes = end
		return h.records < n
	}); err != nil {
		return nil, err
	}
	return h, copyFile(path, a.path, h.bytes)
}

// headerOnly writes a file without records and returns its path.
func (a *acctFile) headerOnly(path string) (string, error) {
	return path, os.WriteFile(path, []byte(columns+"\n"), 0o644)
}

// mix returns the shares of the record types.
func (a *acctFile) mix() string {
	names := make([]string, 0, len(a.types))
	for t := range a.types {
		names = append(names, t)
	}
	slices.SortFunc(names, func(x, y string) int { return a.types[y] - a.types[x] })
	for i, t := range names {
		names[i] = fmt.Sprintf("%s %.1f %%", t, 100*float64(a.types[t])/float64(a.records))
	}
	return strings.Join(names, ", ")
}
