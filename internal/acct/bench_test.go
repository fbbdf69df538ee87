package acct

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const defaultHeader = "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool"

// sampleFile makes an accounting file of n records with the default columns:
// 80 % d, 12 % t, 6 % b and 2 % others, about 520 bytes a line.
func sampleFile(n int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(s ...string) string { return s[rng.IntN(len(s))] }
	var b strings.Builder
	b.WriteString(defaultHeader + "\r\n")
	at := time.Date(2026, 3, 28, 23, 0, 0, 0, time.FixedZone("", 3600))
	for i := range n {
		if i%400 == 399 {
			at = at.Add(time.Second)
		}
		logged := at.Format("2006-01-02 15:04:05-0700")
		queued := at.Add(-time.Duration(rng.IntN(90)) * time.Second).Format("2006-01-02 15:04:05-0700")
		dom := pick("gmail.example", "outlook.example", "yahoo.example", "orange.example", "web.example", fmt.Sprintf("company%d.example", rng.IntN(5000)))
		user := fmt.Sprintf("recipient.%x", rng.Uint32())
		host, ip := fmt.Sprintf("mx%d.mail.%s", rng.IntN(8), dom), fmt.Sprintf("203.0.113.%d", rng.IntN(250))
		vmta := fmt.Sprintf("vmta%02d", rng.IntN(40))
		var typ, action, status, diag, cat, size string
		list := `"ENHANCEDSTATUSCODES,8BITMIME,SIZE,STARTTLS,SMTPUTF8"`
		switch p := rng.IntN(100); {
		case p < 80:
			typ, action, status, cat, size = "d", "relayed", "2.0.0 (success)", "", fmt.Sprint(20000+rng.IntN(80000))
			diag = fmt.Sprintf("smtp;250 2.0.0 OK  %d %x-%xsi%dplt.%d - accepted for delivery", 1774735200+i/400, rng.Uint64(), rng.Uint32(), rng.IntN(9999999), rng.IntN(999))
		case p < 92:
			typ, action, status, cat = "t", "delayed", "4.7.0 (other or undefined security status)", "policy-related"
			diag = fmt.Sprintf("smtp;421 4.7.0 [TSS04] Messages from %s temporarily deferred due to user complaints - see https://postmaster.example/error-codes", ip)
		case p < 98:
			typ, action, status, cat = "b", "failed", "5.1.1 (bad destination mailbox address)", "bad-mailbox"
			diag = "smtp;550 5.1.1 The email account that you tried to reach does not exist. Please check the address for typos"
		case p < 99:
			typ, action, status, cat = "rs", "delayed", "4.0.0 (undefined status)", "other"
			diag = "smtp;451 4.3.0 try again later"
		default:
			fmt.Fprintf(&b, "tq,%s,,,,,,4.4.1 (no answer from host),,%s (%s),,,,smtp,198.51.100.%d,%s,,,%s,,,%s/%s,pool-main\r\n",
				logged, host, ip, rng.IntN(200), ip, vmta, dom, vmta)
			continue
		}
		fmt.Fprintf(&b, "%s,%s,%s,bounce-%d-%s=%s@bounce.sender.example,%s@%s,,%s,%s,%s,%s (%s),%s,smtp,app%d.int.sender.example (10.20.0.%d),smtp,198.51.100.%d,%s,%s,%s,%s,job-2603%02d,env-%x,%s/%s,pool-main\r\n",
			typ, logged, queued, rng.IntN(1e9), user, dom, user, dom, action, status, diag, host, ip, cat, rng.IntN(4), rng.IntN(4),
			rng.IntN(200), ip, list, size, vmta, rng.IntN(28)+1, rng.Uint64(), dom, vmta)
	}
	return b.String()
}

type counter struct{ records, rejects, attrs int }

func (c *counter) Record(r *Record) { c.records++; c.attrs += len(r.Attrs) }
func (c *counter) Reject(Reject)    { c.rejects++ }

func BenchmarkDecode(b *testing.B) {
	const n = 20000
	file := sampleFile(n)
	const chunk = 256 << 10
	b.ReportAllocs()
	b.ResetTimer()
	var c counter
	for c.records < b.N {
		d := NewDecoder(Options{})
		for pos := 0; pos < len(file) && c.records < b.N; {
			end := min(pos+chunk, len(file))
			pos += d.Decode(file[pos:end], end == len(file), &c)
		}
	}
	if c.rejects > 0 {
		b.Fatal(c.rejects, "rejected")
	}
	b.ReportMetric(float64(c.attrs)/float64(c.records), "attrs/record")
	b.ReportMetric(float64(len(file))/n, "bytes/record")
}

func BenchmarkDecodeJSON(b *testing.B) {
	cols := strings.Split(defaultHeader, ",")
	var file strings.Builder
	d := NewDecoder(Options{})
	lines := strings.Split(sampleFile(2000), "\r\n")
	for _, line := range lines[1 : len(lines)-1] {
		sp := splitter{}
		if q := strings.IndexByte(line, '"'); q >= 0 {
			sp = d.splitQuoted(line, 0, q, len(line), true)
		} else {
			sp.fields = d.finish(d.split(line, 0, len(line), d.begin(0)), len(line))
		}
		for i := range sp.fields {
			fmt.Fprintf(&file, "%c%q:%q", "{,"[min(i, 1)], cols[i], d.field(line, i))
		}
		file.WriteString("}\n")
	}
	b.ReportAllocs()
	b.ResetTimer()
	var c counter
	for c.records < b.N {
		NewDecoder(Options{}).Decode(file.String(), true, &c)
	}
	if c.rejects > 0 {
		b.Fatal(c.rejects, "rejected")
	}
}
