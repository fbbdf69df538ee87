package privacy

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func policy(t testing.TB, o Options) *Redactor {
	t.Helper()
	p, err := New(o)
	require.NoError(t, err)
	return p.NewRedactor()
}

// The first four vectors are the examples of the PowerMTA v5.0 User's Guide,
// section 6.3.30, word for word:
//
//	pmta digest --hmac-sha256 --key=secretkey port25
//	pmta digest --siphash --key=secretkey port25
//	pmta digest --hmac-sha256 --hexkey=1234abcd port25
//	pmta digest --siphash --hexkey=1234abcd port25
//
// The others were computed with OpenSSL 3:
//
//	printf ann.lee | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
//	printf ann.lee | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
//	printf ann.lee | openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f -macopt size:8 SIPHASH
//	printf ann.lee | openssl mac -macopt hexkey:73656372657400000000000000000000 -macopt size:8 SIPHASH
//
// where 736563726574 is "secret".
var vectors = []struct {
	mode               Mode
	key, enc, local, h string
}{
	{HMACSHA256, "secretkey", "text", "port25", "614648A140A88192D375C22E606BEC922E8CFA71A5063C067E6BE7CB49C506AA"},
	{SipHash, "secretkey", "text", "port25", "EB938A2508145899"},
	{HMACSHA256, "1234abcd", "hex", "port25", "3BB5D751EB1C3ECCD12C10B315DADEBA35C3A6DF822E44A347FC01B38001477A"},
	{SipHash, "1234abcd", "hex", "port25", "D343D887797D2CFB"},

	{HMACSHA256, "0123456789abcdef0123456789abcdef", "text", "ann.lee", "3601A4125C5B5244EDE0FF52A155987DC66D9B85F940E023DF4F0F63F1EDF763"},
	{HMACSHA256, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", "hex", "ann.lee", "31DAC1D11AD7B851B4B0A7BF7ACD3E7DD8AE4BCC406094F90CCC2A4EB95382DF"},
	{SipHash, "000102030405060708090A0B0C0D0E0F", "hex", "ann.lee", "6A8987A932E9AC81"},
	{SipHash, "secret\r\n", "text", "ann.lee", "AFE09B36982F1A77"},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		key, err := ParseKey(v.key, v.enc)
		require.NoError(t, err)
		for _, lower := range []bool{false, true} {
			want := v.h
			if lower {
				want = strings.ToLower(want)
			}
			r := policy(t, Options{Mode: v.mode, Key: key, LowerHex: lower})
			for _, local := range []string{v.local, strings.ToUpper(v.local)} {
				got := r.Address(local + "@Example.NET")
				require.Equal(t, want+"@Example.NET", got)
				require.True(t, r.Touched())
				require.Equal(t, got, r.Address(got), "hashed twice")
			}
		}
	}
}

func TestKeys(t *testing.T) {
	_, err := New(Options{Mode: HMACSHA256})
	require.ErrorIs(t, err, ErrNoKey)
	_, err = New(Options{Mode: SipHash})
	require.ErrorIs(t, err, ErrNoKey)
	_, err = New(Options{Mode: SipHash, Key: []byte("seventeen bytes!!")})
	require.ErrorIs(t, err, ErrKeyTooLong)
	_, err = ParseKey("hunter2", "hex")
	require.ErrorContains(t, err, "pairs of hexadecimal digits")
	require.NotContains(t, err.Error(), "hunter2")
	_, err = ParseKey("x", "base64")
	require.ErrorContains(t, err, "use text or hex")
	for _, m := range []string{"keep", "redact", "siphash", "hmac-sha256"} {
		mode, err := ParseMode(m)
		require.NoError(t, err)
		require.Equal(t, m, mode.String())
	}
	_, err = ParseMode("sha1")
	require.ErrorContains(t, err, "use keep, redact, siphash or hmac-sha256")

	a, err := New(Options{Mode: HMACSHA256, Key: []byte("one")})
	require.NoError(t, err)
	// printf 'otelcol-pmta redaction key id' | openssl dgst -sha256 -hmac one
	require.Equal(t, "c5fa6f66", a.KeyID())
	b, err := New(Options{Mode: HMACSHA256, Key: []byte("two")})
	require.NoError(t, err)
	require.NotEqual(t, a.KeyID(), b.KeyID())
	c, err := New(Options{Mode: HMACSHA256, Key: []byte("two"), KeyID: "2026-11"})
	require.NoError(t, err)
	require.Equal(t, "2026-11", c.KeyID())
	d, err := New(Options{Mode: Redact})
	require.NoError(t, err)
	require.Empty(t, d.KeyID())
}

func TestIsDigest(t *testing.T) {
	for s, want := range map[string]bool{
		"D343D887797D2CFB":       true,
		"d343d887797d2cfb":       true,
		"d343D887797d2cfb":       false,
		"1234567890123456":       false,
		"D343D887797D2CF":        false,
		"G343D887797D2CFB":       false,
		"":                       false,
		"ann":                    false,
		strings.Repeat("0a", 32): true,
		strings.Repeat("0A", 32): true,
		strings.Repeat("11", 32): true,
		strings.Repeat("aA", 32): false,
	} {
		require.Equal(t, want, IsDigest(s), s)
	}
}

// 16 digits are hashed, unless there is reason to take them for a digest.
func TestNumbers(t *testing.T) {
	r := policy(t, Options{Mode: SipHash, Key: []byte("secretkey")})
	const number, digest = "5957074050791951@example.net", "EB938A2508145899@example.net"
	apply := func(rcpt string, again bool) string {
		r.Begin(rcpt, again)
		return r.Address(rcpt)
	}
	require.NotEqual(t, number, apply(number, false))
	require.Equal(t, number, apply(number, true))
	for range hashedStreak {
		require.NotEqual(t, number, apply(number, false))
		require.Equal(t, digest, apply(digest, false))
	}
	require.Equal(t, number, apply(number, false), "all others were digests")
	require.Equal(t, number, apply(number, false))
	require.NotEqual(t, "ann@example.net", apply("ann@example.net", false))
	require.NotEqual(t, number, apply(number, false))
}

// A policy of redact makes the cases easy to read.
func TestCases(t *testing.T) {
	type cases [][2]string
	for name, group := range map[string]struct {
		rcpt  string
		apply func(*Redactor, string) string
		cases cases
	}{
		"address": {"ann@example.net", (*Redactor).Address, cases{
			{"ann@example.net", "X@example.net"},
			{"<ann@example.net>", "<X@example.net>"},
			{`"ann lee"@example.net`, "X@example.net"},
			{"a@b@example.net", "X@example.net"},
			{"postmaster", "X"},
			{"@example.net", "@example.net"},
			{"...@example.net", "...@example.net"},
			{"", ""},
			{"<>", "<>"},
			{"D343D887797D2CFB@example.net", "D343D887797D2CFB@example.net"},
		}},
		"orcpt": {"ann+x@example.net", (*Redactor).ORCPT, cases{
			{"rfc822;ann+x@example.net", "rfc822;X@example.net"},
			{"rfc822;ann+2Bx@example.net", "rfc822;X@example.net"},
			{"ann+x@example.net", "X@example.net"},
			{"utf-8;jürgen@example.net", "utf-8;X@example.net"},
			{"rfc822;", "rfc822;"},
		}},
		"sender": {"ann.lee@example.net", (*Redactor).Sender, cases{
			{"bounce+7@s.example", "bounce+7@s.example"},
			{"", ""},
			{"b-7-ann.lee=example.net@s.example", "b-7-X=example.net@s.example"},
			{"b+Ann.Lee=Example.NET@s.example", "b+X=Example.NET@s.example"},
			{"ann.lee=example.net@s.example", "X=example.net@s.example"},
			{"b-joe-doe=example.org@s.example", "b-X=example.org@s.example"},
			{"prvs=0123456789=joe@s.example", "prvs=0123456789=X@s.example"},
			{"prvs=joe/0123456789@s.example", "prvs=X/0123456789@s.example"},
			{"prvs=0123456789=b-ann.lee=example.net@s.example", "prvs=0123456789=b-X=example.net@s.example"},
			{"SRS0=HHH=TT=example.org=joe@fwd.example", "SRS0=HHH=TT=example.org=X@fwd.example"},
			{"SRS1=GGG=fwd.example==HHH=TT=example.org=joe@x.example", "SRS1=GGG=fwd.example==HHH=TT=example.org=X@x.example"},
			{"Ann.Lee@example.net", "X@example.net"},
			{"ann.lee@other.example", "ann.lee@other.example"},
			{"b-D343D887797D2CFB=example.net@s.example", "b-D343D887797D2CFB=example.net@s.example"},
			// More behind the recipient, in code, in quotes, or in a form of nobody's.
			{"b-7-ann.lee=example.net=list@s.example", "b-7-X=example.net=list@s.example"},
			{"b-7-ann+2elee=example.net@s.example", "b-7-X=example.net@s.example"},
			{`"b-7-ann.lee=example.net"@s.example`, `"b-7-X=example.net"@s.example`},
			{"b+ann.lee==a==example.net==list@s.example", "b+X==a==example.net==list@s.example"},
			{"ann.lee#example.net@s.example", "X#example.net@s.example"},
			{"b_Ann.Lee_Example.net_7@s.example", "b_X_Example.net_7@s.example"},
			{"b-ann.lee%40example.net@s.example", "b-X%40example.net@s.example"},
			{"ann.lee.news@example.net.s.example", "ann.lee.news@example.net.s.example"},
			{"joann.lee#example.net@s.example", "joann.lee#example.net@s.example"},
		}},
		"sender, domain with a dot behind it": {"ann.lee@example.net.", (*Redactor).Sender, cases{
			{"b-7-ann.lee=example.net@s.example", "b-7-X=example.net@s.example"},
			{"b_ann.lee_example.net@s.example", "b_X_example.net@s.example"},
		}},
		"sender, domain of nothing but a dot": {"ann.lee@.", (*Redactor).Sender, cases{
			{"b_ann.lee_example.net@s.example", "b_ann.lee_example.net@s.example"},
		}},
		"text": {"ann.lee@example.net", (*Redactor).Text, cases{
			{"", ""},
			{"250 2.0.0 OK 1774 abc-def", "250 2.0.0 OK 1774 abc-def"},
			{"550 5.1.1 <ann.lee@example.net>: no such user", "550 5.1.1 <X@example.net>: no such user"},
			{"550 ann.lee@example.net... no, Joe@example.org", "550 X@example.net... no, X@example.org"},
			{`in "RCPT TO:<ANN.LEE@EXAMPLE.NET>"`, `in "RCPT TO:<X@EXAMPLE.NET>"`},
			{`550 "ann lee"@example.net unknown`, `550 X@example.net unknown`},
			{"550 user ann.lee unknown", "550 user X unknown"},
			{"550 (Ann.Lee), joann.lee, ann.leeds, ann.lee.", "550 (X), joann.lee, ann.leeds, X."},
			{"550 ann.lee", "550 X"},
			{"see https://x.example/?e=ann.lee%40example.net&c=5", "see https://x.example/?e=X%40example.net&c=5"},
			{"see https://x.example/?e=joe%40example.org", "see https://x.example/?e=X%40example.org"},
			{"see https://x.example/u?e=joe@example.org&c, https://joe@x.example/", "see https://x.example/u?e=X@example.org&c, https://X@x.example/"},
			{"GET /list/joe@example.org?rcpt=joe@example.org", "GET /list/X@example.org?rcpt=X@example.org"},
			{"/S=Lee/G=Joe/@gw.example /S=Lee/G=Joe@gw.example joe/lee@gw.example", "X@gw.example X@gw.example X@gw.example"},
			{"see https://x.example/?e=ann.lee@example.net", "see https://x.example/?e=X@example.net"},
			{"b-7-ann.lee=example.net@s.example refused", "b-7-X=example.net@s.example refused"},
			{"to=<b-7-joe=example.org@s.example>", "to=<X@s.example>"},
			{"for=joe.doe@example.org", "X@example.org"},
			{"prvs=0123456789=joe@s.example", "prvs=0123456789=X@s.example"},
			{"x@ann.lee@example.net y@z@ w", "X@example.net X@z@ w"},
			{"0%40ann.lee@example.net", "X@example.net"},
			{"joe@[192.0.2.1] no", "X@[192.0.2.1] no"},
			{"jürgen@bücher.example no", "X@bücher.example no"},
			{"100 %40 @ off @home x@ y", "100 %40 @ off @home x@ y"},
			{"D343D887797D2CFB@example.net refused", "D343D887797D2CFB@example.net refused"},
			{"a@b.example,c@d.example;e@f.example", "X@b.example,X@d.example;X@f.example"},
			{`550 <"joe@home"@example.org> "joe@example.org" "joe@home"@ "x "joe@y"@z "joe?lee"@z "a@b"@c"@d`, `550 <X@example.org> "X@example.org" "X@home"@ "x X@z X@z X@c"@d`},
			{`550 "ann \" lee"@example.org unknown`, `550 X@example.org unknown`},
			// Quotes that a local part may hold, but does not begin with.
			{"no user 'ann.lee@example.net', `joe@example.org` {joe@example.org}", "no user 'X@example.net', `X@example.org` {X@example.org}"},
			{`to=%3Cann.lee%40example.net%3E`, `to=%3CX%40example.net%3E`},
			{`=3Cjoe=40example.org=3E`, `=3CX=40example.org=3E`},
			{`"\u003cjoe@example.org\u003e" \njoe@example.org`, `"\u003cX@example.org\u003e" \nX@example.org`},
			// @ in code.
			{"550 joe+40example.org, joe=40Example.ORG. joe&#64;example.org", "550 X+40example.org, X=40Example.ORG. X&#64;example.org"},
			{"550 joe&#X40;example.org joe&commat;example.org joe%2540example.org", "550 X&#X40;example.org X&commat;example.org X%2540example.org"},
			{"550 joe+40example.org@s.example", "550 X@s.example"},
			{"a+40b, a=40%, a+404.4, a=40 a=40. a&b a+40b.c a+40b.c9 &#64;x.example", "a+40b, a=40%, a+404.4, a=40 a=40. a&b a+40b.c a+40b.c9 &#64;x.example"},
			{"550 joe=40xn--80a.xn--p1ai", "550 X=40xn--80a.xn--p1ai"},
			// The recipient in code.
			{"550 ann%2Elee%40example.net =61nn=2Elee=40example.net", "550 X%40example.net X=40example.net"},
			{"see https://x.example/?u=7&to=b-7-joe=example.org%40s.example&c", "see https://x.example/?u=7&to=X%40s.example&c"},
		}},
		"text, encoded words": {"ann.lee@example.net", (*Redactor).Text, cases{
			{"=?UTF-8?B?YW5uLmxlZUBleGFtcGxlLm5ldA==?= <ann.lee@example.net>", "=?utf-8?B?WEBleGFtcGxlLm5ldA==?= <X@example.net>"},
			{"=?iso-8859-1?q?Ann=2ELee?= =?utf-8?b?SsO2cmc=?= x", "=?utf-8?B?WA==?= =?utf-8?b?SsO2cmc=?= x"},
			{"=?utf-8?Q?ann.lee=40example.net?=", "=?utf-8?B?WEBleGFtcGxlLm5ldA==?="},
			{"=?utf-8?Q? =?x?y?ann.lee?= =?utf-8?B?!?= =?koi8-r?B?YW5u?=", "=?utf-8?Q? =?x?y?X?= =?utf-8?B?!?= =?koi8-r?B?YW5u?="},
			{"=? =?a =?a? =?a?b? =?a?b?c", "=? =?a =?a? =?a?b? =?a?b?c"},
		}},
		"text, recipient with tag": {"ann+news@example.net", (*Redactor).Text, cases{
			{"550 ann+2Bnews@example.net, ann%2Bnews%40example.net", "550 X@example.net, X%40example.net"},
			{"550 mailbox ann is full, ann+news, ann_x, joann", "550 mailbox X is full, X, X_x, joann"},
		}},
		"text, recipient in quotes": {`"ann lee"@example.net`, (*Redactor).Text, cases{
			{`550 "ann lee" unknown: ann lee, ann, <"ANN LEE"@example.net>`, `550 X unknown: X, ann, <X@example.net>`},
		}},
		"template": {"ann.lee@example.net", (*Redactor).Template, cases{
			{`550 5.1.1 {email} unknown: ann.lee, "joe"@example.org`, `550 5.1.1 {email} unknown: {user}, {user}@example.org`},
		}},
		"text, short recipient": {"al@example.net", (*Redactor).Text, cases{
			{"550 et al. al@example.net", "550 et al. X@example.net"},
		}},
		"text, no recipient": {"", (*Redactor).Text, cases{
			{"550 <ann@example.net>", "550 <X@example.net>"},
			{"550 nothing", "550 nothing"},
		}},
		"text, recipient redacted before": {"...@example.net", (*Redactor).Text, cases{
			{"550 wait... or ...@example.net", "550 wait... or ...@example.net"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := policy(t, Options{Mode: Redact, Redaction: "X"})
			for _, c := range group.cases {
				r.Begin(group.rcpt, false)
				require.Equal(t, c[1], group.apply(r, c[0]), c[0])
				r.Begin(r.Address(group.rcpt), false)
				require.Equal(t, c[1], group.apply(r, c[1]), "a second time")
			}
		})
	}
}

// One person has one pseudonym, wherever the address stands.
func TestOnePseudonym(t *testing.T) {
	r := policy(t, Options{Mode: SipHash, Key: []byte("secretkey")})
	const h = "EB938A2508145899" // of port25, see vectors
	r.Begin("Port25@Example.net", false)
	require.Equal(t, h+"@Example.net", r.Address("Port25@Example.net"))
	require.Equal(t, "b-"+h+"=example.net@s.example", r.Sender("b-port25=example.net@s.example"))
	require.Equal(t, "rfc822;"+h+"@example.net", r.ORCPT("rfc822;PORT25@example.net"))
	require.Equal(t, "550 <"+h+"@example.net> "+h, r.Text("550 <port25@example.net> port25"))
	require.Equal(t, h, r.Local("port25"))
	require.Equal(t, "'"+h+"@example.org' "+h+"%40example.org "+h+"=40example.org", r.Text("'port25@example.org' p%6frt25%40example.org port=325=40example.org"))
	require.Equal(t, "b-"+h+"=example.net@s.example", r.Sender("b-p+6frt25=example.net@s.example"))
	require.True(t, r.Touched())

	r.Begin("Port25@Example.net", false)
	require.Equal(t, "550 {user}", r.Template("550 port25"))
	require.False(t, r.Touched(), "a template has no pseudonym")
}

func TestSeveralRecipients(t *testing.T) {
	r := policy(t, Options{Mode: Redact, Redaction: "X"})
	r.Begin("", false)
	for _, a := range []string{"<ann.lee@example.net>", "joe@example.org", "joe@example.net", "al@example.net", "...@example.net", ""} {
		r.Also(a)
	}
	require.Equal(t, "550 X, X, al, joel unknown", r.Text("550 Ann.Lee, joe, al, joel unknown"))
	for i := range 1000 {
		r.Also(strings.Repeat("z", i))
	}
	require.LessOrEqual(t, len(r.needles), maxNeedles)
	r.Begin("", false)
	require.Equal(t, "550 joe", r.Text("550 joe"), "of the record before")
}

func TestKeepKeeps(t *testing.T) {
	r := policy(t, Options{})
	r.Begin("ann@example.net", false)
	for _, f := range []func(string) string{r.Address, r.ORCPT, r.Sender, r.Text} {
		require.Equal(t, "b-ann=example.net@s.example", f("b-ann=example.net@s.example"))
	}
}

// Whatever the text, the address put into it does not come out again.
func FuzzText(f *testing.F) {
	f.Add("550 5.1.1 <", "> unknown", "ann.lee")
	f.Add(`"`, `" @`, "joe")
	f.Add("x%40", "%40y", "a_b")
	f.Add("SRS0=H=T=d.example=", "=", "me")
	f.Add("0@[", "> unknown]", "nd..no")
	f.Add("=?utf-8?Q?", "?= =?utf-8?B?YUBi?=", "ann.lee")
	f.Add("0@[IPv6:2001:db8::1] ", "]", "ann.lee")
	r := policy(f, Options{Mode: SipHash, Key: []byte("k")})
	f.Fuzz(func(t *testing.T, before, after, local string) {
		for i := range len(local) {
			if !isWord(local[i]) && local[i] != '.' && local[i] != '_' || local[i] >= 0x80 {
				return
			}
		}
		// Hexadecimal digits may make a digest together with what is before.
		if len(local) < 4 || strings.Trim(local, "0123456789abcdefABCDEF") == "" || strings.Trim(local, "._") != local {
			return
		}
		addr := local + "@recipient.example"
		text := before + addr + after
		for _, rcpt := range []string{addr, "", "else@other.example"} {
			r.Begin(rcpt, false)
			got := r.Text(text)
			if strings.Contains(got, addr) && !strings.Contains(before+"\x00"+after, addr) {
				t.Fatalf("rcpt %q: %q became %q", rcpt, text, got)
			}
			r.Begin(rcpt, false)
			_ = r.Sender(text)
			_ = r.ORCPT(text)
			_ = r.Address(text)
		}
	})
}

// No text takes longer than its length asks for.
func TestTimeIsLinear(t *testing.T) {
	r := policy(t, Options{Mode: SipHash, Key: []byte("k")})
	for _, piece := range []string{"@", "a@", "a@b", "a+40b.cc", "+40", "%40", "=40a.bc", "&#64;", "&", `"`, `"@`, `"a"@`, `\"`, "=?", "?=", "=?a?b?", "a.", "a=", "a=b.c", "ann.", "ann@", "ann", "ann+", "'", "%3C", "=3Cann", "SRS0=", "prvs=", "/", "a/", "[", "@["} {
		text := strings.Repeat(piece, 1<<18/len(piece))
		start := time.Now()
		for _, rcpt := range []string{"ann@x.example", "ann.ann+ann@ann.ann", text} {
			r.Begin(rcpt, false)
			r.Text(text)
			r.Text(text + "@x.example")
			r.Sender(text + "@x.example")
			r.ORCPT("rfc822;" + text)
			r.Address(text)
		}
		require.Less(t, time.Since(start), 10*time.Second, piece)
	}
}

func BenchmarkRedact(b *testing.B) {
	for _, m := range []Mode{SipHash, HMACSHA256} {
		b.Run(m.String(), func(b *testing.B) {
			r := policy(b, Options{Mode: m, Key: []byte("0123456789abcdef")})
			b.ReportAllocs()
			for range b.N {
				r.Begin("ann.lee@example.net", false)
				r.Address("ann.lee@example.net")
				r.Sender("b-7-ann.lee=example.net@s.example")
				r.Text("550 5.1.1 <ann.lee@example.net>: no such user here")
			}
		})
	}
}
