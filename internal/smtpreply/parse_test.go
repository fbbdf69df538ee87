package smtpreply

import (
	"strings"
	"testing"
)

func enh(class uint8, subject, detail uint16) Enhanced { return Enhanced{class, subject, detail} }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, diag, status string
		code               uint16
		enh                Enhanced
		text               string
		origin             origin
		expired            bool
	}{
		{name: "plain", diag: "smtp;550 5.1.1 no such user", code: 550, enh: enh(5, 1, 1), text: "no such user"},
		{name: "bare", diag: "550 5.1.1 no such user", code: 550, enh: enh(5, 1, 1), text: "no such user"},
		{name: "no enhanced", diag: "smtp;421 later", code: 421, text: "later"},
		{name: "code only", diag: "smtp;550", code: 550},
		{name: "bounce queue", diag: "x-pmta;bounce-queue;reply:550 5.7.1 go", code: 550, enh: enh(5, 7, 1), text: "go", origin: originBounceQueue},
		{name: "local", diag: "x-pmta;deleted by administrator", status: "5.0.0 (undefined status)", enh: enh(5, 0, 0), text: "deleted by administrator", origin: originLocal},
		{name: "other diagnostic type", diag: "X-Postfix; unknown user", text: "unknown user"},
		{name: "not inside an address", diag: "550 10.5.1.20 is bad", code: 550, text: "10.5.1.20 is bad"},
		{name: "five numbers", diag: "421 4.16.55.1 slow", code: 421, text: "4.16.55.1 slow"},
		{name: "version", diag: "550 v5.1.1 of us", code: 550, text: "v5.1.1 of us"},
		{name: "only the leading one", diag: "550 error 5.1.1", code: 550, text: "error 5.1.1"},
		{name: "message id", diag: "550 5.1.1a7si", code: 550, text: "5.1.1a7si"},
		{name: "continuation", diag: "550-5.7.1 first 550 5.7.1 second", code: 550, enh: enh(5, 7, 1), text: "first 550 5.7.1 second"},
		{name: "doubled code", diag: "550 550 5.1.1 no", code: 550, enh: enh(5, 1, 1), text: "no"},
		{name: "all doubled", diag: "550 5.1.1 550 5.1.1 no", code: 550, enh: enh(5, 1, 1), text: "no"},
		{name: "hash", diag: "550 #5.1.1 no", code: 550, enh: enh(5, 1, 1), text: "no"},
		{name: "hash at the end", diag: "553 sorry (#5.1.1)", code: 553, enh: enh(5, 1, 1), text: "sorry (#5.1.1)"},
		{name: "yahoo's own number", diag: "451 later [#4.16.5]", code: 451, text: "later [#4.16.5]"},
		{name: "impossible class", diag: "550 7.7.1 no", code: 550, enh: enh(5, 7, 1), text: "no"},
		{name: "not a prefix", diag: "550 5.7.10 no", code: 550, enh: enh(5, 7, 10), text: "no"},
		{name: "colon", diag: "550 5.1.1: no", code: 550, enh: enh(5, 1, 1), text: "no"},
		{name: "status in brackets", diag: "", status: "5.7.1 (delivery not authorized)", enh: enh(5, 7, 1), text: "(delivery not authorized)"},
		{name: "status made up", diag: "smtp;550 no", status: "5.0.0 (undefined status)", code: 550, text: "no"},
		{name: "status made up of 553", diag: "smtp;553 relaying refused", status: "5.1.1 (bad destination mailbox address)", code: 553, text: "relaying refused"},
		{name: "status beside a bare code", diag: "smtp;552 no", status: "5.2.2 (mailbox full)", code: 552, enh: enh(5, 2, 2), text: "no"},
		{name: "status of another class", diag: "smtp;450 no", status: "5.2.2 (mailbox full)", code: 450, text: "no"},
		{name: "the diagnostic is trusted", diag: "smtp;550 5.2.2 no", status: "5.1.1 (bad)", code: 550, enh: enh(5, 2, 2), text: "no"},
		{name: "expired", diag: "smtp;421 4.7.0 slow", status: "4.4.7 (delivery time expired)", code: 421, enh: enh(4, 7, 0), text: "slow", expired: true},
		{name: "not a code", diag: "5501 things", text: "5501 things"},
		{name: "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := parse(c.diag, c.status)
			if p.code != c.code || p.enh != c.enh || p.text != c.text || p.origin != c.origin || p.expired != c.expired {
				t.Errorf("parse(%q, %q) = %+v", c.diag, c.status, p)
			}
		})
	}
}

// TestTraps classifies replies that mislead a reader of codes and keywords.
func TestTraps(t *testing.T) {
	e := testEngine(t)
	long := strings.Repeat("lorem ipsum ", 60)
	for _, c := range []struct {
		name string
		in   Input
		want Category
		code string // provider code
		kind string // type, "" = not checked
	}{
		{name: "address holds a rule word", in: Input{Diag: "550 5.7.1 <spamdetected@marble.example>: refused by our policy"}, want: Policy},
		{name: "host holds a rule word", in: Input{Diag: "550 5.1.1 mx.spamfilter-blacklist.example says no such user"}, want: RecipientUnknown},
		{name: "known list host counts", in: Input{Diag: "554 5.7.1 refused, see https://www.spamhaus.org/query/ip/192.0.2.1"}, want: Blocklisted},
		{name: "prefix of a code", in: Input{Diag: "550 5.7.10 stronger please"}, want: TLS},
		{name: "enhanced status inside an address", in: Input{Diag: "421 10.5.1.1 slow down please"}, want: RateLimited},
		{name: "inner reply, outer code", in: Input{Diag: "450 4.1.1 <bob@mail.example>: Recipient address rejected: unverified: host mx.mail.example[192.0.2.9] said: 550 5.1.1 no such user (in reply to RCPT TO)"}, want: RecipientUnknown, kind: TypeSoft},
		{name: "inner reply decides", in: Input{Diag: "550 5.0.0 host mx.mail.example said: 552 5.2.2 mailbox full"}, want: MailboxFull},
		{name: "inner reply on the sender", in: Input{Diag: "450 4.1.7 <news@mail.example>: Sender address rejected: unverified address: host mx.mail.example[192.0.2.9] said: 550 5.1.1 no such user (in reply to RCPT TO)"}, want: SenderInvalid, kind: TypeNone},
		{name: "privacy of the recipient under a code of rejected recipients", in: Input{Diag: "550 5.7.1 RCP-P3 who you write to has privacy settings that keep your mail out"}, want: RecipientRestricted, kind: TypeNone, code: "RCP-P3"},
		{name: "first of two replies", in: Input{Diag: "554 5.7.1 mail was detected as spam 421 4.7.0 Error: too many errors"}, want: SpamContent},
		{name: "first reply says nothing", in: Input{Diag: "550 sorry 554 5.1.1 No such user here"}, want: RecipientUnknown},
		{name: "phrase over a line break", in: Input{Diag: "550-5.2.1 the mailbox 550-5.2.1 is disabled 550 5.2.1 for now"}, want: RecipientInactive},
		{name: "qmail", in: Input{Diag: "553 sorry, that one we cannot serve (#5.1.1)"}, want: RecipientUnknown},
		{name: "sender with a recipient status", in: Input{Diag: "550 5.1.0 sender address does not exist"}, want: SenderInvalid},
		{name: "list with a recipient status", in: Input{Diag: "550 5.1.0 MailFrom domain is listed in Spamhaus"}, want: Blocklisted},
		{name: "rate with a recipient status", in: Input{Diag: "550 5.1.1 bob@mail.example too many recipients this hour. IB607"}, want: RateLimited, code: "IB607"},
		{name: "full status on a sender's quota", in: Input{Diag: "554 5.2.2 submission quota exceeded"}, want: RateLimited},
		{name: "access denied at Exchange Online", in: Input{Diag: "550 5.4.1 Recipient address rejected: Access denied.", MX: "a-b.mail.protection.outlook.com (192.0.2.3)"}, want: RecipientUnknown, kind: TypeHard},
		{name: "access denied elsewhere", in: Input{Diag: "554 5.7.1 <bob@mail.example>: Recipient address rejected: Access denied"}, want: RecipientRestricted, kind: TypeNone},
		{name: "rate limited because of the signature", in: Input{Diag: "421 4.7.30 slowed down, DKIM did not pass", MX: "gmail-smtp-in.l.google.com"}, want: Authentication, code: "4.7.30"},
		{name: "disk of the server", in: Input{Diag: "452 4.3.1 Insufficient system storage"}, want: RemoteSystemError},
		{name: "disk of the user", in: Input{Diag: "452 4.2.2 storage of this user is over quota"}, want: MailboxFull},
		{name: "codes with a mask apart 1", in: Input{Diag: "421 LPN003_109 Trop"}, want: SessionLimit, code: "LPN003_109"},
		{name: "codes with a mask apart 2", in: Input{Diag: "550 OFR004_201 Trop"}, want: RDNSHelo, code: "OFR004_201"},
		{name: "Latin-1", in: Input{Diag: "550 5.1.1 bo\xeete inexistante"}, want: RecipientUnknown},
		{name: "UTF-8 accents", in: Input{Diag: "550 5.1.1 boîte inexistante"}, want: RecipientUnknown},
		{name: "ISO-2022-JP", in: Input{Diag: "550 5.1.1 \x1b$B%f!<%6\x1b(B no such user"}, want: RecipientUnknown},
		{name: "curly apostrophe", in: Input{Diag: "550 the mailbox doesn’t exist"}, want: RecipientUnknown},
		{name: "status in brackets", in: Input{DSNStatus: "5.1.2 (bad destination system: no such domain)"}, want: RecipientDomainInvalid, kind: TypeHard},
		{name: "bounce queue", in: Input{Diag: "x-pmta;bounce-queue;reply:550 5.7.1 [TSS09] no more", DSNStatus: "5.7.1 (delivery not authorized)"}, want: ReputationIP, code: "TSS09"},
		{name: "553 that PMTA calls unknown mailbox", in: Input{Diag: "smtp;553 sorry, that domain is not in my list of rcpthosts", DSNStatus: "5.1.1 (bad destination mailbox address)"}, want: RelayDenied, kind: TypeNone},
		{name: "reason in the last line", in: Input{Diag: "554-" + long + " 554 no PTR record"}, want: RDNSHelo},
		{name: "deleted by hand", in: Input{Diag: "x-pmta;deleted by administrator", DSNStatus: "5.0.0 (undefined status)"}, want: Suppressed, kind: TypeNone},
		{name: "codes that contradict", in: Input{Diag: "550 4.1.1 no such user"}, want: RecipientUnknown, kind: TypeSoft},
		{name: "words that leave some doubt", in: Input{Diag: "550 the mailbox you write to cannot be found"}, want: RecipientUnknown, kind: TypeSoft},
		{name: "glued to the address", in: Input{Diag: "550 bob@mail.example...User unknown"}, want: RecipientUnknown, kind: TypeHard},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _ := e.run(c.in)
			if v.Category != c.want {
				t.Errorf("%q: %s by %q, want %s; template %q", c.in.Diag, v.Category, v.RuleID, c.want, v.Template)
			}
			if c.code != "" && v.ProviderCode != c.code {
				t.Errorf("%q: provider code %q, want %q", c.in.Diag, v.ProviderCode, c.code)
			}
			if c.kind != "" && v.Type != c.kind {
				t.Errorf("%q: type %s, want %s", c.in.Diag, v.Type, c.kind)
			}
		})
	}
}

func TestPermanentlyDeferred(t *testing.T) {
	v, _ := testEngine(t).run(Input{Diag: "421 4.7.1 [TS03] all mail is permanently deferred; Retrying will NOT succeed"})
	if v.Category != ReputationIP || v.Retryable {
		t.Errorf("%s, retryable %t", v.Category, v.Retryable)
	}
	v, _ = testEngine(t).run(Input{Diag: "554 5.2.122 inbox took in all it may"})
	if v.Category != RecipientRateLimited || !v.Retryable {
		t.Errorf("%s, retryable %t", v.Category, v.Retryable)
	}
}

func TestExpired(t *testing.T) {
	v, _ := testEngine(t).run(Input{Diag: "smtp;452 4.2.2 mailbox full", DSNStatus: "4.4.7 (delivery time expired)"})
	if v.Category != MessageExpired || v.Cause != MailboxFull || v.Type != TypeSoft {
		t.Errorf("%s, cause %s, type %s", v.Category, v.Cause, v.Type)
	}
}

func TestTemplate(t *testing.T) {
	e := testEngine(t)
	for _, c := range []struct{ in, want string }{
		{"550 5.1.1 <bob@mail.example>: unknown", "550 5.1.1 <{email}>: unknown"},
		{"550 5.1.1 <bob> unknown", "550 5.1.1 <{email}> unknown"},
		{"550 client [192.0.2.1] and 2001:db8::1, 1-2-3-4, 192.0.2.0/24", "550 client [{ip}] and {ip}, {ip}, {ip}"},
		{"421 mx7.mail.example is busy at 14:30:32 for 287 seconds", "421 {host} is busy at {ts} for {n} seconds"},
		{"451 id 4F2A1B3C99 and 123456", "451 id {id} and {n}"},
		{"550 5.7.1 (S3150) [a.b.eop-nam02.prod.protection.outlook.com 2026-02-20T14:30:32.425Z 08DD4D9FD5AFF45C]", "550 5.7.1 (S3150) [*.protection.outlook.com {ts} {id}]"},
		{"421 see http://postmaster.comcast.net/smtp-error-codes.php#RL000003", "421 see postmaster.comcast.net/smtp-error-codes.php#RL000003"},
		{"554 see https://evil.example/spam/virus?ip=192.0.2.1", "554 see {url}"},
		{"554 https://postmaster.gmx.com/en/error-messages?ip=192.0.2.1&c=rdns", "554 postmaster.gmx.com/en/error-messages?c=rdns"},
		{"550-5.7.1 one 550-5.7.1 two 550 5.7.1 three", "550 5.7.1 one two three"},
		{"554-one 554 two", "554 one two"},
		{"554 one 554 two", "554 one 554 two"},
		{"550 5.1.1 one 554 5.5.1 two", "550 5.1.1 one 554 5.5.1 two"},
		{"550 no. AUP#In-1580 IPBL0001 OFR006_102", "550 no. AUP#In-1580 IPBL0001 OFR006_102"},
		{"550 denied.Please go", "550 denied.Please go"},
		{"550 caf\xe9 \xff\x00 x", "550 cafe y x"},
		{"250 2.0.0 OK 4F2A1B3C99", "250 2.0.0"},
		{"550 RESOLVER.ADR.RecipNotFound; no", "550 RESOLVER.ADR.RecipNotFound; no"},
	} {
		p := parse(c.in, "")
		if got := string(e.template(nil, &p)); got != c.want {
			t.Errorf("template of %q\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"":                          " ",
		"The E-Mail was NOT sent":   " mail is not sent ",
		"can't, can not, cannot":    " cannot cannot cannot ",
		"it isn't; won't":           " it is not will not ",
		"has been disabled":         " has is disabled ",
		"black list, grey-listed":   " blacklist greylisted ",
		"<{email}>: {ip} [{ip}] x":  " ip x ",
		"IP {ip} refused":           " ip refused ",
		"see spamhaus.org. 5.7.28!": " see spamhaus.org 5.7.28 ",
		"authorised e mail box":     " authorized mailbox ",
		"a user, an account, the x": " user account x ",
	} {
		want = strings.Replace(want, "has is", "is", 1)
		if got := string(normalize(nil, []byte(in))); got != want {
			t.Errorf("normalize(%q) = %q, want %q", in, got, want)
		}
	}
}
