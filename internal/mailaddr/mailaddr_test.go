package mailaddr

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct{ sender, rcpt, forms, base string }{
		{"bounce@example.com", "", "", "bounce@example.com"},
		{"", "", "", "@"},
		{"bounce+42@example.com", "ann@example.net", "", "bounce+42@example.com"},
		{"a=b@example.com", "", "", "a=b@example.com"},
		{"sort=asc@example.com", "", "", "sort=asc@example.com"},

		{"CB-A=yahoo.example@bounce.example.com", "A@yahoo.example", "verp", "CB@bounce.example.com"},
		{"CB-A=yahoo.example@bounce.example.com", "", "verp", "CB@bounce.example.com"},
		{"owner-list+ann=example.net@lists.example", "", "verp", "owner-list@lists.example"},
		{"rp-n2-5k-ann.b=example.net@s.example", "ann.b@example.net", "verp", "rp-n2-5k@s.example"},
		{"rp-n2-5k-ann.b=example.net@s.example", "Ann.B@Example.NET", "verp", "rp-n2-5k@s.example"},
		// Without the recipient nothing of a name may count as the sender's.
		{"rp-ann-lee=example.net@s.example", "", "verp", "rp@s.example"},
		{"A=yahoo.example@bounce.example.com", "a@yahoo.example", "verp", "@bounce.example.com"},
		// Another recipient does not mislead.
		{"b-ann=example.net@s.example", "bob@example.org", "verp", "b@s.example"},
		{"b-joann=example.net@s.example", "ann@example.net", "verp", "b@s.example"},
		// More behind the recipient.
		{`"b-7-ann.lee=example.net"@s.example`, "ann.lee@example.net", "verp", "b-7@s.example"},
		{"b-7-ann.lee=example.net-0815@s.example", "ann.lee@example.net", "verp", "b-7@s.example"},
		{"b-7-ann.lee=example.net=list@s.example", "ann.lee@example.net", "verp", "b-7@s.example"},
		{"b-7-ann.lee=example.net.@s.example", "ann.lee@example.net.", "verp", "b-7@s.example"},
		{"b-7-ann.lee=example.net@s.example", "ann.lee@example.net.", "verp", "b-7@s.example"},
		{"b-7-ann.lee=example.network@s.example", "ann.lee@example.net", "verp", "b@s.example"},
		{"b-7-ann.lee=example.net.au@s.example", "ann.lee@example.net", "verp", "b@s.example"},
		// The recipient in code.
		{"b-7-ann+2Blee=example.net@s.example", "ann+lee@example.net", "verp", "b-7@s.example"},
		{"b-7-ann=2elee=example.net@s.example", "Ann.Lee@example.net", "verp", "b-7@s.example"},
		{"b-7-ann%2Blee=example.net@s.example", "ann+lee@example.net", "verp", "b-7@s.example"},

		{"prvs=0123456789=news@example.com", "", "batv", "news@example.com"},
		{"PRVS=0123abcdef=news@example.com", "", "batv", "news@example.com"},
		{"prvs=news/0123abcdef@example.com", "", "batv", "news@example.com"},
		{"btv1==0123456789a==news@example.com", "", "batv", "news@example.com"},
		{"msprvs1=18000abcDEFgh=bounces-264011@example.com", "", "batv", "bounces-264011@example.com"},
		{"prvs=short=news@example.com", "", "", "prvs=short=news@example.com"},
		{"prvs=0123456789=@example.com", "", "", "prvs=0123456789=@example.com"},
		{"prvs=0123456789=b-ann=example.net@example.com", "ann@example.net", "batv,verp", "b@example.com"},

		{"SRS0=HHH=TT=example.org=joe@fwd.example", "", "srs0", "joe@example.org"},
		{"srs0+HHH=TT=example.org=joe@fwd.example", "", "srs0", "joe@example.org"},
		{"SRS0-HHH=TT=example.org=joe=x@fwd.example", "", "srs0", "joe=x@example.org"},
		{"SRS1=GGG=fwd.example==HHH=TT=example.org=joe@second.example", "", "srs1", "joe@example.org"},
		{"SRS1+GGG=fwd.example=-HHH=TT=example.org=joe@second.example", "", "srs1", "joe@example.org"},
		{"SRS0=HHH=TT=example.org=@fwd.example", "", "", "SRS0=HHH=TT=example.org=@fwd.example"},
		{"SRS0=HHH=example.org=joe@fwd.example", "", "", "SRS0=HHH=example.org=joe@fwd.example"},
		{"SRS0=H=T=s.example=prvs=0123456789=b-ann=example.net@fwd.example", "ann@example.net", "srs0,batv,verp", "b@s.example"},
	} {
		t.Run(c.sender+" "+c.rcpt, func(t *testing.T) {
			s := Resolve(c.sender, c.rcpt)
			var forms []string
			for _, f := range s.Forms {
				if f != Plain {
					forms = append(forms, f.String())
				}
			}
			require.Equal(t, c.forms, strings.Join(forms, ","))
			require.Equal(t, c.base, s.Local+"@"+s.Domain)
			require.Equal(t, c.forms == "", s.Plain())
		})
	}
}

func TestParseDomain(t *testing.T) {
	for in, want := range map[string]Domain{
		"example.com":             {"example.com", "example.com"},
		"Example.COM.":            {"example.com", "example.com"},
		"bücher.example":          {"xn--bcher-kva.example", "bücher.example"},
		"BÜCHER.example":          {"xn--bcher-kva.example", "bücher.example"},
		"xn--bcher-kva.example":   {"xn--bcher-kva.example", "bücher.example"},
		"XN--BCHER-KVA.EXAMPLE":   {"xn--bcher-kva.example", "bücher.example"},
		"mail.bücher.example":     {"mail.xn--bcher-kva.example", "mail.bücher.example"},
		"例え.テスト":                  {"xn--r8jz45g.xn--zckzah", "例え.テスト"},
		"_dmarc.example":          {"_dmarc.example", "_dmarc.example"},
		"_x.bücher.example":       {"_x.xn--bcher-kva.example", "_x.bücher.example"},
		"[192.0.2.1]":             {"192.0.2.1", "192.0.2.1"},
		"[IPv6:2001:db8::1]":      {"ipv6:2001:db8::1", "ipv6:2001:db8::1"},
		"xn--zzzzzzzzzzzz.exampl": {"xn--zzzzzzzzzzzz.exampl", "xn--zzzzzzzzzzzz.exampl"},
		"xn--.example":            {"xn--.example", "xn--.example"},
		"":                        {"", ""},
		"İstanbul.example":        {"xn--istanbul-o0e.example", "i\u0307stanbul.example"},
		"a\xffb.example":          {"a\xffb.example", "a\xffb.example"},
	} {
		require.Equal(t, want, ParseDomain(in), in)
		var c Domains
		for range 2 {
			require.Equal(t, want, c.Get(in), in)
		}
	}
}

// What is too long for a name takes no time to find out.
func TestLongDomains(t *testing.T) {
	var b strings.Builder
	for c := rune(0x4e00); b.Len() < 60_000; c++ {
		b.WriteRune(c)
	}
	start := time.Now()
	for range 20 {
		require.Equal(t, Domain{b.String(), b.String()}, ParseDomain(b.String()))
		Resolve(strings.Repeat("=", b.Len())+"@x", "="+strings.Repeat("=", b.Len()/2)+"@"+strings.Repeat("=", b.Len()/2))
	}
	require.Less(t, time.Since(start), 10*time.Second)
}

// Each byte in each place of names of all lengths: what is called canonical
// has no other spelling.
func TestCanonical(t *testing.T) {
	for n := 1; n <= 20; n++ {
		for at := range n {
			for c := range 256 {
				b := []byte("abcdefghijklmnopqrst"[:n])
				b[at] = byte(c)
				s := string(b)
				plain := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == ':' || c == '.' && at < n-1
				if Canonical(s) {
					if d := ParseDomain(s); d.ASCII != s || d.Unicode != s {
						t.Fatalf("%q is called canonical, but is %+v", s, d)
					}
				} else if plain {
					t.Fatalf("%q is not recognised", s)
				}
			}
		}
	}
	for _, s := range []string{"", "xn--a", "xn--bcher-kva.example", "mail.xn--bcher-kva.example", "a.xn--b"} {
		require.False(t, Canonical(s), s)
	}
	for _, s := range []string{"xing.example", "fax.example", "x", "xn"} {
		require.True(t, Canonical(s), s)
	}
}

func TestDomainsAreBounded(t *testing.T) {
	var c Domains
	for i := range 3 * maxDomains {
		s := fmt.Sprintf("Host%d.Example", i)
		require.Equal(t, strings.ToLower(s), c.Get(s).ASCII)
		require.LessOrEqual(t, len(c.m), maxDomains)
	}
	c.Get(strings.Repeat("Ab", 1000))
	require.NotContains(t, c.m, strings.Repeat("Ab", 1000))
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"CB-A=yahoo.example", "prvs=0123456789=x", "prvs=x/0123456789", "SRS0=H=T=d.example=u", "SRS1=H=d.example==H=T=e.example=u", "btv1==0123456==x", "msprvs1=abcdef=x", "+=a.b", "-=a.b"} {
		f.Add(s, "a@yahoo.example")
	}
	f.Fuzz(func(t *testing.T, local, rcpt string) {
		for _, r := range []string{"", rcpt} {
			e := Decode(local, r)
			if e.Pre+e.Inner+e.Post != local {
				t.Fatalf("%q: pieces %q %q %q", local, e.Pre, e.Inner, e.Post)
			}
			if e.Form != Plain && e.Inner == "" {
				t.Fatalf("%q: %s with nothing in it", local, e.Form)
			}
			if e.Form == Plain && e.Inner != local {
				t.Fatalf("%q: plain, but cut", local)
			}
			s := Resolve(local+"@x.example", r)
			if s.Plain() && (s.Local != local || s.Domain != "x.example") {
				t.Fatalf("%q: nothing taken off, but %q@%q", local, s.Local, s.Domain)
			}
		}
		// What is put together comes apart.
		if user, dom := Split(rcpt); user != "" && isDomain(dom) && !strings.ContainsAny(user, "@") {
			verp := "list-" + user + "=" + dom
			if e := Decode(verp, rcpt); e.Form != VERP || e.Inner != user || e.Domain != dom || e.Prefix != "list" {
				t.Fatalf("%q with %q: %+v", verp, rcpt, e)
			}
			srs := "SRS0=hash=tt=" + dom + "=" + user
			if e := Decode(srs, ""); e.Form != SRS0 || e.Inner != user || e.Domain != dom {
				t.Fatalf("%q: %+v", srs, e)
			}
			batv := "prvs=0123456789=" + user
			if e := Decode(batv, ""); e.Form != BATV || e.Inner != user {
				t.Fatalf("%q: %+v", batv, e)
			}
		}
	})
}

func FuzzParseDomain(f *testing.F) {
	for _, s := range []string{"bücher.example", "xn--bcher-kva.example", "Example.COM.", "[::1]", "xn--", "ß.example", "a..b", "faß.de", "straße.example", "\u200d.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := ParseDomain(s)
		if Canonical(s) && (d.ASCII != s || d.Unicode != s) {
			t.Fatalf("%q is canonical, but became %+v", s, d)
		}
		if !d.IDNA() {
			return
		}
		for _, form := range []string{d.ASCII, d.Unicode} {
			if again := ParseDomain(form); again != d {
				t.Fatalf("%q gives %+v, its spelling %q gives %+v", s, d, form, again)
			}
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	for _, c := range [][2]string{{"bounce+0123456789ab@example.com", "ann@example.net"}, {"rp-n2-5k-ann.b=example.net@s.example", "ann.b@example.net"}} {
		b.Run(c[0][:6], func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				Resolve(c[0], c[1])
			}
		})
	}
}

func BenchmarkDomains(b *testing.B) {
	for _, s := range []string{"gmail.example.com", "xn--bcher-kva.example"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			var c Domains
			for range b.N {
				c.Get(s)
			}
		})
	}
}
