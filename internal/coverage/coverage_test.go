package coverage

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	defaultHeader = "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType," +
		"dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool"
	wanted     = ",header_Message-Id,header_From,rcvSmtpUser,dlvTlsProtocol,dlvTlsCipher"
	everything = defaultHeader + wanted + ",rcvSourceIp,rcvDestinationIp,format,feedbackType,userAgent,dsnReportingMta,reportedDomain"
	version3   = "type,timeLogged,timeQueued,timeImprinted,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId"
	fblHeader  = "type,timeLogged,format,userAgent,envId,orig,rcpt,reportingMta,dlvSourceIp,repSourceIp,feedbackType,reportedDomain,header_From,header_Subject"
	tqHeader   = "type,timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta,queue"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC).UnixNano()

func hours(h int) int64 { return noon + int64(h)*int64(time.Hour) }

func cols(s string) []string { return strings.Split(s, ",") }

// filled is a record of type t with these attributes.
func filled(t acct.Type, keys ...string) *acct.Record {
	r := &acct.Record{Type: t}
	for _, k := range keys {
		r.Attrs = append(r.Attrs, acct.Attr{Key: k, Str: "x"})
	}
	return r
}

func samples(s *Seen, stream string, n int, r *acct.Record) {
	for range n {
		s.AddSample(stream, r)
	}
}

// dayOf tells n records of each type, spread over two days, the rare ones too.
func dayOf(s *Seen, stream string, n int64, types ...acct.Type) {
	for h := 0; h <= 48; h += 24 {
		for _, t := range types {
			s.AddType(stream, t, n/3, hours(h))
		}
	}
}

var cases = map[string]func(s *Seen){
	"nothing": func(*Seen) {},
	"default": func(s *Seen) {
		s.AddHeader("acct.csv", cols(defaultHeader), noon)
		dayOf(s, "acct.csv", 60_000, tD, tB)
	},
	"header_only": func(s *Seen) { s.AddHeader("acct.csv", cols(defaultHeader), 0) },
	"few_records": func(s *Seen) {
		s.AddHeader("acct.csv", cols(defaultHeader), noon)
		s.AddType("acct.csv", tD, 20, hours(0))
		s.AddType("acct.csv", tB, 1, hours(1))
	},
	"complete": func(s *Seen) {
		s.AddHeader("acct.csv", cols(everything), noon)
		dayOf(s, "acct.csv", 60_000, acct.Types...)
		s.SetMovedCounted()
	},
	"one_after_the_other": func(s *Seen) { // all of acct.csv is read before diag.csv
		s.AddHeader("acct.csv", cols(defaultHeader), noon)
		s.AddHeader("diag.csv", cols(defaultHeader), noon)
		for _, t := range []acct.Type{tD, tB, tT} {
			stream := "acct.csv"
			if t == tT {
				stream = "diag.csv"
			}
			for h := range 49 {
				s.AddType(stream, t, 5000, hours(h))
			}
		}
	},
	"restricted": func(s *Seen) {
		s.AddHeader("/opt/pmta/acct.csv", cols("type,timeLogged,rcpt,dsnDiag,header_X-Stream"), noon)
		dayOf(s, "/opt/pmta/acct.csv", 60_000, tD, tB)
	},
	"no_time": func(s *Seen) { s.AddHeader("acct.csv", cols("type,rcpt"), 0) },
	"two_streams": func(s *Seen) {
		s.AddHeader("acct.csv", cols(defaultHeader+wanted), noon)
		s.AddHeader("diag.csv", cols(defaultHeader), noon)
		dayOf(s, "acct.csv", 60_000, tD, tB)
		dayOf(s, "diag.csv", 60_000, tT, tTQ)
	},
	"bounce_in_two_streams": func(s *Seen) { // bounce.csv lacks columns, but acct.csv has the same bounces with them
		s.AddHeader("acct.csv", cols(defaultHeader+wanted), noon)
		s.AddHeader("bounce.csv", cols("type,timeLogged,rcpt,dsnDiag"), noon)
		dayOf(s, "acct.csv", 60_000, tD, tB)
		dayOf(s, "bounce.csv", 60_000, tB)
	},
	"complaints_only": func(s *Seen) {
		s.AddHeader("fbl.csv", cols(fblHeader), noon)
		dayOf(s, "fbl.csv", 300, tF)
	},
	"complaints_header_only": func(s *Seen) { s.AddHeader("fbl.csv", cols(fblHeader), 0) },
	"tq_header_only":         func(s *Seen) { s.AddHeader("tq.csv", cols(tqHeader), 0) },
	"version_3": func(s *Seen) {
		s.AddHeader("acct.csv", cols(version3), noon)
		dayOf(s, "acct.csv", 60_000, tD, tB)
	},
	"unknown_columns": func(s *Seen) {
		s.AddHeader("acct.csv", cols(defaultHeader+",somethingNew,userString"+wanted), noon)
		dayOf(s, "acct.csv", 60_000, tD, tB, acct.TypeUnknown)
	},
	"empty_columns": func(s *Seen) {
		s.AddHeader("acct.csv", cols(everything), noon)
		dayOf(s, "acct.csv", 60_000, acct.Types...)
		samples(s, "acct.csv", 2000, filled(tD, semconv.EmailMessageID)) // jobId nowhere, Message-Id not in b
		samples(s, "acct.csv", 1000, filled(tB))
		samples(s, "acct.csv", 100, filled(tF, semconv.SMTPRcptTo, semconv.EmailMessageID))
		samples(s, "acct.csv", 30, filled(tF, semconv.EmailMessageID))
	},
	"empty_in_few": func(s *Seen) {
		s.AddHeader("acct.csv", cols(defaultHeader+wanted), noon)
		dayOf(s, "acct.csv", 60_000, tD, tB)
		samples(s, "acct.csv", 10, filled(tD, semconv.EmailMessageID))
	},
	"job_in_some": func(s *Seen) { // transactional mail has none
		s.AddHeader("acct.csv", cols(everything), noon)
		dayOf(s, "acct.csv", 60_000, acct.Types...)
		samples(s, "acct.csv", 2000, filled(tB, semconv.EmailMessageID))
		samples(s, "acct.csv", 2000, filled(tD, semconv.EmailMessageID))
		samples(s, "acct.csv", 2, filled(tD, semconv.EmailMessageID, semconv.PMTAJobID))
	},
	"type_stopped": func(s *Seen) { // t was written until somebody changed the configuration
		s.AddHeader("acct.csv", cols(everything), noon)
		dayOf(s, "acct.csv", 60_000, acct.Types...)
		s.AddType("acct.csv", tB, 1000, hours(71))
		s.AddType("acct.csv", tD, 99_000, hours(73))
	},
	"complaints_in_one_file": func(s *Seen) { // header_From may be there for f only
		s.AddHeader("acct.csv", cols(defaultHeader+",format,userAgent,reportingMta,repSourceIp,feedbackType,reportedDomain,header_From,header_Return-Path,header_X-job,header_Subject,header_X-Mine"), noon)
		dayOf(s, "acct.csv", 60_000, tD, tB, tF)
	},
	"json": func(s *Seen) {
		s.AddKeys("acct.json", cols(defaultHeader))
		s.AddKeys("acct.json", cols(fblHeader))
		dayOf(s, "acct.json", 60_000, tD, tB, tF)
	},
}

func TestGolden(t *testing.T) {
	for name, fill := range cases {
		t.Run(name, func(t *testing.T) {
			s := New()
			fill(s)
			r := s.Report()
			got := r.Text()
			if sure := r.Sure(); sure.Block != r.Block {
				got += "\n=== The block for what is certain:\n\n" + sure.Block
			}
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			again := New()
			fill(again)
			if r2 := again.Report(); r2.Text() != got[:len(r2.Text())] || r2.Key() != r.Key() {
				t.Error("the same input gives another report")
			}
		})
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) != len(cases) {
		t.Errorf("%d golden files for %d cases, %v", len(files), len(cases), err)
	}
}

func TestKey(t *testing.T) {
	s := New()
	key := func() string { return s.Report().Sure().Key() }
	keys := []string{key()}
	next := func(what string, change bool) {
		t.Helper()
		k := key()
		if change == (k == keys[len(keys)-1]) {
			t.Errorf("%s: changed is %v", what, !change)
		}
		keys = append(keys, k)
	}
	s.AddHeader("acct.csv", cols(defaultHeader), noon)
	next("a header", true)
	s.AddType("acct.csv", tD, 900, hours(0))
	next("few records", false)
	s.AddType("acct.csv", tD, 200, hours(1))
	next("enough without t", true)
	s.AddType("acct.csv", tD, 100, hours(2))
	next("more of the same", false)
	s.AddType("acct.csv", tT, 1, hours(2))
	next("a t at last", true)
	if s.AddHeader("acct.csv", cols(defaultHeader+",header_Message-Id"), hours(-1)) {
		t.Error("the header of an older file is taken")
	}
	next("the header of an older file", false)
	if !s.AddHeader("acct.csv", cols(defaultHeader+",header_Message-Id"), hours(3)) || s.AddHeader("acct.csv", cols(defaultHeader+",header_Message-Id"), hours(4)) {
		t.Error("a header is new, or not, when it is the other way")
	}
	next("a new header", true)
	for i := range s.Report().Gaps {
		if g := s.Report().Gaps[i]; g.Key() == "" || g.Kind != KindUnknown && g.Block == "" {
			t.Errorf("%+v", g)
		}
	}
}

// The block of one gap holds all that the file has today and this one thing
// more.
func TestGapBlock(t *testing.T) {
	s := New()
	s.AddHeader("acct.csv", cols(defaultHeader+",header_X-Stream"), noon)
	dayOf(s, "acct.csv", 60_000, tD, tB)
	r := s.Report()
	i := slices.IndexFunc(r.Gaps, func(g Gap) bool { return g.ID == "deferrals" })
	want := `<acct-file /var/log/pmta/acct.csv>
    records d,b,t
    record-fields d *,header_X-Stream
    record-fields b *,header_X-Stream
    record-fields t *,header_X-Stream
    # keep what else is in your block: other records (rare ones were perhaps not seen), move-to, max-size, ...
</acct-file>
`
	if i < 0 || r.Gaps[i].Block != want || r.Gaps[i].What() != "records t" {
		t.Errorf("%+v", r.Gaps)
	}
	i = slices.IndexFunc(r.Gaps, func(g Gap) bool { return g.ID == "tls" })
	if g := r.Gaps[i]; !slices.Equal(g.Missing, []string{"dlvTlsProtocol", "dlvTlsCipher"}) || !slices.Equal(g.Types, []string{"d", "b"}) ||
		!slices.Equal(g.Streams, []string{"acct.csv"}) || !g.Sure || g.Kind != KindColumn {
		t.Errorf("%+v", g)
	}
}

// Every row of the table can be a gap, has an own id and asks for columns that
// the types of records have.
func TestTable(t *testing.T) {
	ids := map[string]bool{}
	for i := range table {
		q := &table[i]
		if ids[q.id] || q.id == "" || !strings.HasSuffix(strings.TrimSuffix(q.text, "."), "?") && !strings.HasSuffix(q.text, ".") {
			t.Errorf("%q: id twice, or text %q", q.id, q.text)
		}
		ids[q.id] = true
		for _, c := range append(slices.Clone(q.columns), q.also...) {
			for _, typ := range q.types {
				if !applies(typ, c) && c != q.columns[len(q.columns)-1] {
					t.Errorf("%s: %s records have no %s", q.id, typ, c)
				}
			}
			if !documented(c) {
				t.Errorf("%s: nobody knows %s", q.id, c)
			}
		}
		if q.wants == 0 && !q.unknown && len(q.columns) == 0 {
			t.Errorf("%s: asks for nothing", q.id)
		}
	}
	for typ, list := range defaults {
		for _, c := range append(slices.Clone(list), byDefault[typ]...) {
			if !applies(typ, c) {
				t.Errorf("%s records have no %s", typ, c)
			}
		}
	}
	for _, f := range acct.Fields() {
		if !strings.HasSuffix(f.Column, "*") && !documented(f.Column) {
			t.Error(f.Column)
		}
	}
}

func TestStreamOf(t *testing.T) {
	for in, want := range map[string]string{
		"acct-2026-01-31-0002.csv": "acct.csv", "acct-2026-01-31-0002.csv.gz": "acct.csv", "sender2elastic_log-2025-07-10-0000.csv": "sender2elastic_log.csv",
		"acct.csv": "acct.csv", "acct-2012-08-22-0000.log": "acct.log", "my-acct-2026-01-31-0000.json": "my-acct.json", "-": "-", "acct-2026-01-31": "acct",
	} {
		if got := StreamOf(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestBounds(t *testing.T) {
	s := New()
	for i := range maxStreams + 50 {
		s.AddHeader(strings.Repeat("x", i+1), cols("type,timeLogged"), 0)
	}
	var keys []string
	for i := range maxKeys + 50 {
		keys = append(keys, strings.Repeat("k", i+1))
	}
	s.AddKeys("x", keys)
	if len(s.streams) != maxStreams || len(s.streams["x"].has) != maxKeys {
		t.Error(len(s.streams), len(s.streams["x"].has))
	}
	s.Report()
}

func TestConcurrent(t *testing.T) {
	s := New()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				s.AddHeader("a", cols(defaultHeader), 0)
				s.AddType("a", tD, 1, hours(i))
				s.AddSample("a", filled(tD))
				s.AddKeys("b", cols(fblHeader))
				s.SetMovedCounted()
				_ = s.Report().Text()
			}
		})
	}
	wg.Wait()
	if s.Report().Records != 800 {
		t.Error(s.Report().Records)
	}
}

// BenchmarkBatch is what a receiver pays for a batch of 250 records.
func BenchmarkBatch(b *testing.B) {
	s := New()
	s.AddHeader("a", cols(defaultHeader), noon)
	r := filled(tD, strings.Fields("a b c d e f g h i j k l m n o p q r s t u v w x y z")...)
	b.ReportAllocs()
	for b.Loop() {
		s.AddType("a", tD, 200, noon)
		s.AddType("a", tB, 50, noon)
		s.AddSample("a", r)
	}
}

func BenchmarkReport(b *testing.B) {
	s := New()
	cases["two_streams"](s)
	for b.Loop() {
		s.Report()
	}
}
