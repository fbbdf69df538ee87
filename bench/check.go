package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// checkRecords is how many records are compared one by one.
const checkRecords = 20_000

// check proves that both do the work that is going to be measured: the same
// pipelines write their records to a file, which is compared with the input.
// From the peer every column of every record is wanted, from the agent every
// record with its time and its job.
func check(dir string, in *acctFile, agent, peer *collector) error {
	small, err := in.head(filepath.Join(dir, "check.csv"), min(in.records, checkRecords))
	if err != nil {
		return err
	}
	header := strings.Split(columns, ",")
	wholeRow := func(attr func(string) string, at int64) string {
		values := []string{strconv.FormatInt(at, 10)}
		for _, name := range header {
			values = append(values, attr(name))
		}
		return strings.Join(values, "\x00")
	}
	timeAndJob := func(attr func(string) string, at int64) string {
		return strconv.FormatInt(at, 10) + "\x00" + attr("jobId")
	}
	for _, c := range []struct {
		*collector
		key   func(attr func(string) string, at int64) string
		names map[string]string // column to attribute, where they differ
		what  string
	}{
		{peer, wholeRow, nil, "time and all columns"},
		{agent, timeAndJob, map[string]string{"jobId": "pmta.job.id"}, "time and job"},
	} {
		if c.collector == nil {
			continue
		}
		want := map[string]int{}
		var bad error
		err := small.each(func(row []string, _ int64) bool {
			t, err := time.Parse(timeLayout, row[colTime])
			if err != nil {
				bad = err
				return false
			}
			want[c.key(func(name string) string {
				for i, h := range header {
					if h == name {
						return row[i]
					}
				}
				return ""
			}, t.UnixNano())]++
			return true
		})
		if err := errors.Join(err, bad); err != nil {
			return err
		}
		if err := checkOne(dir, small, *c.collector, want, func(attrs map[string]string, at int64) string {
			return c.key(func(name string) string {
				if other, ok := c.names[name]; ok {
					name = other
				}
				return attrs[name]
			}, at)
		}); err != nil {
			return err
		}
		fmt.Printf("%-16s %d of %d records compared with the file (%s): equal\n", c.name, small.records, small.records, c.what)
	}
	return nil
}

func checkOne(dir string, in *acctFile, c collector, want map[string]int, key func(map[string]string, int64) string) error {
	c.overlay = filepath.Join(*configDir, "check.yaml")
	p, err := c.start(dir, in.path)
	if err != nil {
		return err
	}
	defer p.kill()
	if err := p.waitAccepted(in.records); err != nil {
		return err
	}
	if _, err := p.stop(); err != nil {
		return err
	}
	return eachExported(filepath.Join(p.dir, "records.jsonl"), func(attrs map[string]string, at int64) error {
		k := key(attrs, at)
		if want[k] == 0 {
			return fmt.Errorf("%s: a record that is not in the file: %q", c.name, strings.Split(k, "\x00"))
		}
		want[k]--
		return nil
	}, func() error {
		for k, n := range want {
			if n > 0 {
				return fmt.Errorf("%s: a record of the file is missing: %q", c.name, strings.Split(k, "\x00"))
			}
		}
		return nil
	})
}

// eachExported reads what the file exporter wrote, OTLP as JSON, a batch a
// line, calls f with each record's attributes and time, then end.
func eachExported(path string, f func(attrs map[string]string, at int64) error, end func() error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	dec := json.NewDecoder(bufio.NewReader(file))
	for dec.More() {
		var batch struct {
			ResourceLogs []struct {
				ScopeLogs []struct {
					LogRecords []struct {
						TimeUnixNano int64 `json:",string"`
						Attributes   []struct {
							Key   string
							Value struct{ StringValue string }
						}
					}
				}
			}
		}
		if err := dec.Decode(&batch); err != nil {
			return err
		}
		for _, rl := range batch.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				for _, r := range sl.LogRecords {
					attrs := make(map[string]string, len(r.Attributes))
					for _, a := range r.Attributes {
						attrs[a.Key] = a.Value.StringValue
					}
					if err := f(attrs, r.TimeUnixNano); err != nil {
						return err
					}
				}
			}
		}
	}
	return end()
}
