package dimension

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const sampleCSV = "\xef\xbb\xbf# what sends what\r\n" +
	"vmta, pool, source_ip, job_prefix, header_X-Tenant, stream, customer, warmup_stage\r\n" +
	"promo-*,,,,,promo,,\r\n" +
	"V1,,,,,transactional,\"Shop, Inc.\",\r\n" +
	",pool-a,,,,,acme,\r\n" +
	",,192.0.2.0/24,,,,,early\r\n" +
	",,2001:db8::/32,,,,,late\r\n" +
	",,198.51.100.7,,,,,single\r\n" +
	",,,spring-,,campaign,,\r\n" +
	",,,,acme*,tenant,acme,\r\n" +
	"v1,,,test-,,never,,never\r\n" +
	"*,,,,,any,,\r\n"

const sampleYAML = `
- {match: {vmta: promo-*}, labels: {stream: promo}}
- match: {vmta: V1}
  labels: {stream: transactional, customer: "Shop, Inc."}
- {match: {pool: pool-a}, labels: {customer: acme}}
- {match: {source_ip: 192.0.2.0/24}, labels: {warmup_stage: early}}
- {match: {source_ip: "2001:db8::/32"}, labels: {warmup_stage: late}}
- {match: {source_ip: 198.51.100.7}, labels: {warmup_stage: single}}
- {match: {job_prefix: spring-}, labels: {stream: campaign}}
- {match: {header_X-Tenant: acme*}, labels: {stream: tenant, customer: acme}}
- {match: {vmta: v1, job_prefix: test-}, labels: {stream: never, warmup_stage: never}}
- {match: {vmta: "*"}, labels: {stream: any}}
`

// A prefix may be written with the * that ends other conditions.
func TestJobPrefixWithStar(t *testing.T) {
	table, err := ParseCSV([]byte("job_prefix,stream\nspring-*,campaign\n*,other\n"))
	require.NoError(t, err)
	require.Equal(t, []Label{{"stream", "campaign"}}, table.Lookup(nil, &Input{Job: "spring-9"}))
	require.Equal(t, []Label{{"stream", "other"}}, table.Lookup(nil, &Input{Job: "autumn"}))
	require.Empty(t, table.Lookup(nil, &Input{VMTA: "v1"}), "no job is no job of any name")
}

func TestLookup(t *testing.T) {
	csv, err := ParseCSV([]byte(sampleCSV))
	require.NoError(t, err)
	yaml, err := ParseYAML([]byte(sampleYAML))
	require.NoError(t, err)
	for _, table := range []*Table{csv, yaml} {
		require.Equal(t, []string{"x_tenant"}, table.Headers())
		require.Equal(t, []string{"stream", "customer", "warmup_stage"}, table.Labels())
		require.Equal(t, 10, table.Len())
		for _, c := range []struct {
			in   Input
			want string
		}{
			{Input{}, ""},
			{Input{VMTA: "promo-3"}, "stream=promo"},
			{Input{VMTA: "PROMO-3", Pool: "Pool-A"}, "stream=promo customer=acme"},
			{Input{VMTA: "v1", Pool: "pool-a"}, "stream=transactional customer=Shop, Inc."},
			{Input{VMTA: "v1", Job: "test-1"}, "stream=transactional customer=Shop, Inc. warmup_stage=never"},
			{Input{VMTA: "x", SourceIP: "192.0.2.200"}, "stream=any warmup_stage=early"},
			{Input{VMTA: "x", SourceIP: "::ffff:192.0.2.200"}, "stream=any warmup_stage=early"},
			{Input{SourceIP: "2001:db8:5::1"}, "warmup_stage=late"},
			{Input{SourceIP: "198.51.100.7"}, "warmup_stage=single"},
			{Input{SourceIP: "198.51.100.8"}, ""},
			{Input{SourceIP: "no address"}, ""},
			{Input{Job: "spring-9"}, "stream=campaign"},
			{Input{Job: "Spring-9"}, ""},
			{Input{Headers: []string{"acme-eu"}}, "stream=tenant customer=acme"},
			{Input{Job: "spring-9", Headers: []string{"ACME"}}, "stream=campaign customer=acme"},
		} {
			var got []string
			for _, l := range table.Lookup(nil, &c.in) {
				got = append(got, l.Name+"="+l.Value)
			}
			require.Equal(t, c.want, strings.Join(got, " "), "%+v", c.in)
		}
	}
}

func TestBrokenTables(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "line 1: the file is empty",
		"vmta,pool\n":                         "line 1: there is no column for a label",
		"stream\nx\n":                         "line 1: there is no column to match",
		"vmta,Stream\n":                       `line 1: label "Stream": use lower-case letters`,
		"vmta,\n":                             "line 1: a label has no name",
		"vmta,s,s\n":                          `line 1: column "s" is there twice`,
		"header_X-A,header_x_a,s\n":           `line 1: column "header_x_a" is there twice`,
		"vmta,s\nv1,a\nv2\n":                  "line 3: 1 fields, the header has 2",
		"vmta,s\nv1,a,b\n":                    "line 2: 3 fields, the header has 2",
		"vmta,s\n# note\n\nv1,\n":             "line 4: the row gives no label",
		"vmta,s\nv1,\"a\nb\nc,d\n":            "line 2: ",
		"source_ip,s\n10.0.0.0/8,a\n10.0,b\n": `line 3: source_ip "10.0" is no address and no network`,
		"source_ip,s\n10.0.0.0/40,a\n":        `line 2: source_ip "10.0.0.0/40" is no address and no network`,
		"source_ip,s\n::ffff:1.2.3.0/120,a\n": "line 2: source_ip",
		"header_,s\nx,a\n":                    "line 2: header_: name a header",
		"vmta,s\nv1,\xff\n":                   "not UTF-8",
	} {
		_, err := ParseCSV([]byte(text))
		require.ErrorContains(t, err, want, "%q", text)
	}
	for text, want := range map[string]string{
		"":                                   "line 1: the file is empty",
		"a: b":                               "line 1: write a list",
		"- a":                                "line 1: an entry is",
		"- {match: {vmta: v}}":               "line 1: the row gives no label",
		"- {match: v}":                       "line 1: match: write {name: value}",
		"\n- {labels: {a: [1]}}":             "line 2: a: the value is no text",
		"- {labels: {a: b}, when: {}}":       `line 1: "when" is not known`,
		"- {labels: {a: b}, labels: {c: d}}": "line 1: labels is there twice",
		"- {labels: {a: b, a: d}}":           "line 1: a is there twice",
		"- match: {ip: 1}\n  labels: {a: b}": `line 1: "ip" is not known; use vmta`,
		"- labels: {a: b}\n  match:\n    source_ip: 10": `line 3: source_ip "10" is no address`,
		"- labels: {A: b}":  `line 1: label "A": use lower-case`,
		"- {labels: {a: b}": "line 1: ",
	} {
		_, err := ParseYAML([]byte(text))
		require.ErrorContains(t, err, want, "%q", text)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

func stream(s *Source, vmta string) string {
	for _, l := range s.Table().Lookup(nil, &Input{VMTA: vmta}) {
		return l.Value
	}
	return ""
}

func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dim.csv")
	_, err := Open(file)
	require.ErrorContains(t, err, file)
	write(t, file, "vmta,stream\nv1,a\n")
	s, err := Open(file)
	require.NoError(t, err)
	require.Equal(t, "a", stream(s, "v1"))

	check := func(wantChanged bool, wantErr string) {
		t.Helper()
		changed, err := s.Check()
		require.Equal(t, wantChanged, changed)
		if wantErr == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, wantErr)
		}
	}
	check(false, "")
	write(t, file, "vmta,stream\nv1,b\n")
	check(true, "")
	require.Equal(t, "b", stream(s, "v1"))
	check(false, "")

	// Broken: said once, the old table stays.
	write(t, file, "vmta,stream\nv1,c\nv2\n")
	check(false, file+": line 3: 1 fields, the header has 2")
	check(false, "")
	require.Equal(t, "b", stream(s, "v1"))
	write(t, file, "vmta,stream\nv1,c\nv3\n")
	check(false, "line 3")
	require.NoError(t, os.Remove(file))
	check(false, "no such file")
	check(false, "")
	require.Equal(t, "b", stream(s, "v1"))

	// The same content as before the trouble counts as good news.
	write(t, file, "vmta,stream\nv1,b\n")
	check(true, "")
	check(false, "")
}

// A table changes as a whole, whoever reads it meanwhile.
func TestReloadIsAtomic(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dim.yaml")
	text := func(s string) string {
		return "- {match: {vmta: v1}, labels: {a: " + s + ", b: " + s + "}}\n"
	}
	write(t, file, text("x"))
	s, err := Open(file)
	require.NoError(t, err)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				got := s.Table().Lookup(nil, &Input{VMTA: "v1"})
				if len(got) != 2 || got[0].Value != got[1].Value {
					t.Errorf("half a table: %v", got)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 50 {
		write(t, file, text(string(rune('a'+i%26))))
		_, err := s.Check()
		require.NoError(t, err)
	}
	close(done)
	wg.Wait()
}

func FuzzParse(f *testing.F) {
	f.Add(sampleCSV)
	f.Add(sampleYAML)
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func([]byte) (*Table, error){ParseCSV, ParseYAML} {
			table, err := parse([]byte(text))
			if (err == nil) == (table == nil) {
				t.Fatal("neither table nor error, or both")
			}
			if table == nil {
				continue
			}
			for _, v := range []string{"", "v1"} {
				table.Lookup(nil, &Input{VMTA: v, Pool: v, SourceIP: "192.0.2.1", Job: v, Headers: make([]string, len(table.Headers()))})
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	table, err := ParseCSV([]byte(sampleCSV))
	require.NoError(b, err)
	in := Input{VMTA: "v1", Pool: "pool-a", SourceIP: "192.0.2.9", Job: "job-1"}
	b.ReportAllocs()
	var buf []Label
	for range b.N {
		buf = table.Lookup(buf[:0], &in)
	}
}
