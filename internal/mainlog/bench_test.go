package mainlog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// sampleLog makes a log of about n lines as a server with log-connections and
// log-commands writes it: up to 40 sessions at a time, one line in 15 something
// else.
func sampleLog(n int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(s ...string) string { return s[rng.IntN(len(s))] }
	at := time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC)
	var b strings.Builder
	type script struct {
		conn  int
		lines []string
	}
	var open []*script
	conn := 0
	start := func() *script {
		conn = conn%400 + 1
		s := &script{conn: conn}
		dom := pick("gmail.example", "outlook.example", "yahoo.example", fmt.Sprintf("company%d.example", rng.IntN(5000)))
		vmta := fmt.Sprintf("vmta%02d", rng.IntN(40))
		host, ip := fmt.Sprintf("mx%d.mail.%s", rng.IntN(8), dom), fmt.Sprintf("203.0.113.%d", rng.IntN(250))
		local := fmt.Sprintf("198.51.100.%d", rng.IntN(200))
		add := func(format string, args ...any) { s.lines = append(s.lines, fmt.Sprintf(format, args...)) }
		add("starting %s/%s", dom, vmta)
		add("connecting from out%02d.sender.example (%s) to %s (%s)", rng.IntN(40), local, host, ip)
		if rng.IntN(20) == 0 {
			add("unable to connect to %s (%s): Connection timed out", host, ip)
			add("done %s/%s", dom, vmta)
			return s
		}
		add("connected from %s:%d", local, 20000+rng.IntN(40000))
		add(">>> 220 %s ESMTP %x - gsmtp", host, rng.Uint64())
		add("<<< EHLO out.sender.example")
		for _, e := range []string{"at your service", "SIZE 157286400", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES", "PIPELINING"} {
			add(">>> 250-%s", e)
		}
		add(">>> 250 SMTPUTF8")
		add("<<< STARTTLS")
		add(">>> 220 2.0.0 Ready to start TLS")
		add("tls:TLSv1.3 connected with 256-bit TLS_AES_256_GCM_SHA384")
		for range 1 + rng.IntN(3) {
			add("<<< MAIL FROM:<bounce-%d@bounce.sender.example> BODY=8BITMIME", rng.IntN(1e9))
			add("<<< RCPT TO:<recipient.%x@%s>", rng.Uint32(), dom)
			add("<<< DATA")
			add(">>> 250 2.1.0 OK %x", rng.Uint64())
			switch rng.IntN(12) {
			case 0:
				add(">>> 550-5.1.1 The email account that you tried to reach does not exist. Please try")
				add(">>> 550 5.1.1 double-checking the recipient's email address for typos")
				add(">>> 503 5.5.1 RCPT first")
			case 1:
				add(">>> 421 4.7.0 [TSS04] Messages from %s temporarily deferred due to user complaints", local)
				add(">>> 503 5.5.1 RCPT first")
			default:
				add(">>> 250 2.1.5 OK %x", rng.Uint64())
				add(">>> 354 Go ahead %x", rng.Uint64())
				add(">>> 250 2.0.0 OK  %d %x-%xsi%dplt.%d - gsmtp", at.Unix(), rng.Uint64(), rng.Uint32(), rng.IntN(9999999), rng.IntN(999))
			}
		}
		add("<<< QUIT")
		add(">>> 221 2.0.0 closing connection %x", rng.Uint64())
		add("closed %s (%s) in=%d out=%d", host, ip, rng.IntN(2000), rng.IntN(200000))
		add("done %s/%s", dom, vmta)
		return s
	}
	for i := range n {
		if i%60 == 59 {
			at = at.Add(time.Second)
		}
		b.WriteString(at.Format("2006-01-02 15:04:05 "))
		if rng.IntN(15) == 0 {
			dom := fmt.Sprintf("company%d.example", rng.IntN(5000))
			switch rng.IntN(8) {
			case 0:
				fmt.Fprintf(&b, "Queue %s/vmta%02d switched to backoff mode: \"421 4.7.28 rate limited\"\n", dom, rng.IntN(40))
			case 1:
				fmt.Fprintf(&b, "Queue %s/vmta%02d switched to normal mode\n", dom, rng.IntN(40))
			case 2:
				fmt.Fprintf(&b, "Accounting file /var/log/pmta/acct-2026-03-28-%04d.csv was moved to /var/log/pmta/moved/acct-2026-03-28-%04d.csv (%d records)\n", i, i, rng.IntN(99999))
			case 3:
				fmt.Fprintf(&b, "DNS lookup of MX for %s failed: NXDOMAIN\n", dom)
			case 4:
				fmt.Fprintf(&b, "resolved %s: MX 10 mx1.mail.%s (203.0.113.%d)\n", dom, dom, rng.IntN(250))
			case 5:
				fmt.Fprintf(&b, "Transfer failed: %s/vmta%02d: mx1.mail.%s (203.0.113.%d): connection timed out\n", dom, rng.IntN(40), dom, rng.IntN(250))
			default:
				fmt.Fprintf(&b, "precached %d names for %s in %d ms, largest answer from 203.0.113.%d\n", rng.IntN(999), dom, rng.IntN(99), rng.IntN(250))
			}
			continue
		}
		if len(open) < 40 {
			open = append(open, start())
		}
		k := rng.IntN(len(open))
		s := open[k]
		fmt.Fprintf(&b, "(%3d)%s\n", s.conn, s.lines[0])
		if s.lines = s.lines[1:]; len(s.lines) == 0 {
			open[k] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
	return b.String()
}

type counter struct{ entries, sessions, attrs int }

func (c *counter) Entry(e *Entry)     { c.entries++; c.attrs += len(e.Attrs) }
func (c *counter) Session(s *Session) { c.sessions++; c.attrs += len(s.Attrs) }
func (c *counter) Reject(acct.Reject) {}

// An operation is a line of a mixed log, with everything: events, sessions,
// templates of unknown texts, and the state saved once per chunk.
func BenchmarkDecode(b *testing.B) {
	benchmark(b, sampleLog(10000), 256<<10)
}

// The same with chunks as they come when a live log is followed.
func BenchmarkDecodeLive(b *testing.B) {
	benchmark(b, sampleLog(10000), 4<<10)
}

// Only entries that are no lines of sessions: the slow ones.
func BenchmarkDecodeEvents(b *testing.B) {
	var only strings.Builder
	for line := range strings.Lines(sampleLog(40000)) {
		if line[20] != '(' {
			only.WriteString(line)
		}
	}
	benchmark(b, only.String(), 256<<10)
}

func benchmark(b *testing.B, file string, chunk int) {
	lines := strings.Count(file, "\n")
	unknown := NewUnknown(0)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuNow()
	var c counter
	for c.entries < b.N {
		d := NewDecoder(Options{Unknown: unknown})
		for pos := 0; pos < len(file) && c.entries < b.N; {
			end := min(pos+chunk, len(file))
			pos += d.Decode(file[pos:end], end == len(file), &c)
			_ = d.State()
		}
	}
	if cpu = cpuNow() - cpu; cpu > 0 {
		b.ReportMetric(float64(cpu)/float64(c.entries), "cpu-ns/line")
	}
	b.ReportMetric(float64(c.attrs)/float64(c.entries), "attrs/line")
	b.ReportMetric(float64(c.sessions)/float64(c.entries), "sessions/line")
	b.ReportMetric(float64(len(file))/float64(lines), "bytes/line")
}
