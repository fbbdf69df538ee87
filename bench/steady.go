package main

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// jobPrefix marks the records of the steady test; the number behind it says
// which record it is.
const jobPrefix = "bench-"

// sink takes OTLP over HTTP and notes when each record arrives.
type sink struct {
	start   time.Time
	written []atomic.Int64 // ns after start, by record
	mu      sync.Mutex
	latency []time.Duration // -1 until it arrives
	arrived int
	again   int
	err     error
}

func newSink(n int) *sink {
	s := &sink{start: time.Now(), written: make([]atomic.Int64, n), latency: make([]time.Duration, n)}
	for i := range s.latency {
		s.latency[i] = -1
	}
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	at := time.Since(s.start)
	if err == nil {
		s.mu.Lock()
		err = eachJob(body, func(job []byte) { s.take(string(job), at) })
		if s.err == nil {
			s.err = err
		}
		s.mu.Unlock()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (s *sink) take(job string, at time.Duration) {
	if job == "" {
		return // what the agent found out itself (pmta.coverage); a record without its job is missed at the end
	}
	number, ok := strings.CutPrefix(job, jobPrefix)
	i, err := strconv.Atoi(number)
	if !ok || err != nil || i < 0 || i >= len(s.latency) {
		s.err = fmt.Errorf("a record that was not written: job %q", job)
		return
	}
	if s.latency[i] >= 0 {
		s.again++
		return
	}
	s.latency[i] = at - time.Duration(s.written[i].Load())
	s.arrived++
}

// The way to an attribute in ExportLogsServiceRequest: resource_logs = 1,
// scope_logs = 2, log_records = 2, attributes = 6; KeyValue: key = 1,
// value = 2; AnyValue: string_value = 1. Source: opentelemetry-proto v1.

// eachJob calls f with the job of each log record in an OTLP request.
func eachJob(request []byte, f func(job []byte)) error {
	return eachField(request, func(num uint64, rl []byte) error {
		return only(num, 1, rl, func(num uint64, sl []byte) error {
			return only(num, 2, sl, func(num uint64, record []byte) error {
				var job []byte
				err := only(num, 2, record, func(num uint64, kv []byte) error {
					var key, value []byte
					err := only(num, 6, kv, func(num uint64, b []byte) error {
						switch num {
						case 1:
							key = b
						case 2:
							return eachField(b, func(num uint64, b []byte) error {
								if num == 1 {
									value = b
								}
								return nil
							})
						}
						return nil
					})
					if string(key) == "pmta.job.id" {
						job = value
					}
					return err
				})
				if num == 2 && err == nil {
					f(job)
				}
				return err
			})
		})
	})
}

// only walks the fields of message if its field number is the one wanted.
func only(num, want uint64, message []byte, f func(num uint64, b []byte) error) error {
	if num != want {
		return nil
	}
	return eachField(message, f)
}

var errProto = errors.New("malformed protobuf")

// eachField calls f with each length-delimited field of a protobuf message and
// passes over the others.
func eachField(b []byte, f func(num uint64, b []byte) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return errProto
		}
		b = b[n:]
		size := uint64(0)
		switch tag & 7 {
		case 0:
			if _, n := binary.Uvarint(b); n > 0 {
				size = uint64(n)
			} else {
				return errProto
			}
		case 1:
			size = 8
		case 5:
			size = 4
		case 2:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return errProto
			}
			b, size = b[n:], v
		default:
			return errProto
		}
		if size > uint64(len(b)) {
			return errProto
		}
		if tag&7 == 2 {
			if err := f(tag>>3, b[:size]); err != nil {
				return err
			}
		}
		b = b[size:]
	}
	return nil
}

// steady writes records one by one at an even pace while the agent reads them,
// first into the nop exporter, which shows what the agent takes, then to a
// sink, which shows how long each record took to arrive.
func steady(dir string, in *acctFile, nop, otlp *collector) error {
	var rows [][]string
	if err := in.each(func(row []string, _ int64) bool {
		rows = append(rows, slices.Clone(row))
		return len(rows) < 20_000
	}); err != nil {
		return err
	}
	total := int(steadyFor.Seconds() * float64(*rate))

	share, _, err := steadyRun(dir, in, nop, newSink(total), rows)
	if err != nil {
		return err
	}
	fmt.Printf("→ nop: %.1f %% of one core\n", share)

	s := newSink(total)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	c := *otlp
	c.env = append(slices.Clone(c.env), "BENCH_SINK="+listener.Addr().String())
	share, behind, err := steadyRun(dir, in, &c, s, rows)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.arrived != total {
		return errors.Join(s.err, fmt.Errorf("%d of %d records arrived", s.arrived, total))
	}
	slices.Sort(s.latency)
	at := func(q float64) float64 { return s.latency[min(total-1, int(q*float64(total)))].Seconds() * 1e3 }
	fmt.Printf("→ OTLP/HTTP: %.1f %% of one core, exporter included; %d records, all arrived, %d twice; the writer was at most %.1f ms late\n",
		share, total, s.again, behind.Seconds()*1e3)
	fmt.Printf("from before the write to the arrival at the sink, exporter included: p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", at(0.50), at(0.99), at(1))
	return nil
}

// steadyRun writes the records of s and returns the agent's share of one core
// in percent until it has accepted the last, and how late the writer was at
// worst.
func steadyRun(dir string, in *acctFile, agent *collector, s *sink, rows [][]string) (share float64, behind time.Duration, err error) {
	path, err := in.headerOnly(filepath.Join(dir, "steady.csv"))
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(path)
	p, err := agent.start(dir, path)
	if err != nil {
		return 0, 0, err
	}
	defer p.kill()
	if err := p.waitReady(); err != nil {
		return 0, 0, err
	}
	before, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if behind, err = s.write(path, rows); err != nil {
		return 0, 0, err
	}
	if err := p.waitAccepted(len(s.written)); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		return 0, 0, errors.Join(s.err, err)
	}
	took := time.Since(began)
	after, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	_, err = p.stop()
	return 100 * (after - before).Seconds() / took.Seconds(), behind, err
}

// write appends one record after the other at the wanted rate, each with one
// system call, and returns how late it was at worst.
func (s *sink) write(path string, rows [][]string) (behind time.Duration, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var line bytes.Buffer
	w := csv.NewWriter(&line)
	interval := time.Second / time.Duration(*rate)
	began := time.Now()
	for i := range s.written {
		due := began.Add(time.Duration(i) * interval)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		} else {
			behind = max(behind, -wait)
		}
		row := rows[i%len(rows)]
		row[colTime] = time.Now().Format(timeLayout)
		row[colJob] = jobPrefix + strconv.Itoa(i)
		line.Reset()
		if err := w.Write(row); err != nil {
			return behind, err
		}
		w.Flush()
		s.written[i].Store(int64(time.Since(s.start)))
		if _, err := file.Write(line.Bytes()); err != nil {
			return behind, err
		}
	}
	return behind, nil
}
