package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// The benchmark starts this test program as pmtalog.
func init() {
	if os.Getenv("PMTALOG_BENCH_CHILD") != "" {
		main()
	}
}

// BenchmarkPipe is PMTA on the other side of the pipe: one write for each
// record, to a real process that writes real files. It reports how long these
// writes take, which is what PMTA would wait. "paced" writes bursts of 200
// records every 10 ms, 20000 a second, several times what the largest PMTA
// does; "flat_out" writes as fast as the pipe takes it.
func BenchmarkPipe(b *testing.B) {
	rec := []byte("d,2026-01-31 10:00:00+0000,2026-01-31 09:59:58+0000,b-1234=example.com@bounce.example.org,user1234@example.com,,relayed,2.0.0 (success)," +
		"smtp;250 2.0.0 OK 1706695200 a1-20020a170902b58100b001d6f5b1e3aesi1234567plb.123 - gsmtp,gmail-smtp-in.l.google.com (142.250.102.27),,smtp,app1.example.org (10.0.0.5),smtp," +
		"192.0.2.10,142.250.102.27,\"ENHANCEDSTATUSCODES,PIPELINING,CHUNKING,8BITMIME,SIZE,STARTTLS,SMTPUTF8\",41159,vmta1,campaign-77,,example.com/vmta1,pool1\r\n")
	for _, c := range []struct {
		name  string
		burst int
		flags []string
	}{
		{"paced", 200, nil},
		{"flat_out", 0, nil},
		{"flat_out_sync", 0, []string{"--sync"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			cmd := exec.Command(os.Args[0], append([]string{"pipe", "--dir", dir}, c.flags...)...)
			cmd.Env = append(os.Environ(), "PMTALOG_BENCH_CHILD=1")
			var out strings.Builder
			cmd.Stderr = &out
			in, err := cmd.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			header := "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool\r\n"
			if _, err := in.Write([]byte(header)); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(rec)))
			waits := make([]time.Duration, 0, b.N)
			next := time.Now()
			b.ResetTimer()
			for i := range b.N {
				if c.burst > 0 && i%c.burst == 0 {
					next = next.Add(10 * time.Millisecond)
					time.Sleep(time.Until(next))
				}
				t := time.Now()
				if _, err := in.Write(rec); err != nil {
					b.Fatal(err)
				}
				waits = append(waits, time.Since(t))
			}
			b.StopTimer()
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				b.Fatal(err, out.String())
			}
			if want := fmt.Sprintf("%d records read", b.N); !strings.Contains(out.String(), want) {
				b.Fatal(out.String())
			}
			if strings.Contains(out.String(), "dropped") {
				b.Log(out.String())
			}
			slices.Sort(waits)
			at := func(q float64) float64 { return float64(waits[int(q*float64(len(waits)-1))].Nanoseconds()) / 1e3 }
			b.ReportMetric(at(0.5), "p50-µs")
			b.ReportMetric(at(0.99), "p99-µs")
			b.ReportMetric(at(0.999), "p99.9-µs")
			b.ReportMetric(at(1), "max-µs")
		})
	}
}
