package smtpreply

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func newClassifier(t testing.TB, o Options) *Classifier {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var hardCategories = map[Category]bool{RecipientUnknown: true, RecipientInactive: true, RecipientDomainInvalid: true}

func TestTaxonomy(t *testing.T) {
	if n := len(Categories()); n != 30 {
		t.Errorf("%d categories, want 30", n)
	}
	groups := map[string]bool{}
	for _, c := range Categories() {
		i := c.Info()
		if p, err := ParseCategory(i.Name); err != nil || p != c {
			t.Errorf("%s does not parse: %v", i.Name, err)
		}
		if (i.Type == TypeHard) != hardCategories[c] {
			t.Errorf("%s has type %s", i.Name, i.Type)
		}
		if i.Group == "" || i.Owner == "" || i.Doc == "" {
			t.Errorf("%s is incomplete", i.Name)
		}
		groups[i.Group] = true
		for _, class := range []uint8{0, 2, 3, 4} {
			if typeFor(c, class) == TypeHard {
				t.Errorf("%s is hard on class %d", i.Name, class)
			}
		}
	}
	if len(groups) != 11 {
		t.Errorf("%d groups: %v", len(groups), groups)
	}
	if Category(200).String() != "unclassified" {
		t.Error("a category out of range has a name")
	}
}

// checkVerdict verifies what holds for every verdict.
func checkVerdict(t testing.TB, in Input, r Result) {
	t.Helper()
	p := parse(in.Diag, in.DSNStatus)
	if r.Type == TypeHard && (!hardCategories[r.Category] || p.class() != 5 || p.enh.Class == 4 || r.ReplyCode/100 == 4) {
		t.Fatalf("%q, %q: %s is hard", in.Diag, in.DSNStatus, r.Category)
	}
	if r.Type == "" || r.Group == "" || r.Owner == "" || r.MatchedBy == "" || r.RulesVersion == "" || len(r.TemplateID) != 16 {
		t.Fatalf("%q: incomplete: %+v", in.Diag, *r.Verdict)
	}
	if len(r.Template) > maxTemplate || !utf8.ValidString(r.Template) {
		t.Fatalf("%q: template %q", in.Diag, r.Template)
	}
	if (r.MatchedBy == MatchedFallback) != (r.RuleID == "") {
		t.Fatalf("%q: rule %q matched by %s", in.Diag, r.RuleID, r.MatchedBy)
	}
	if r.Provider == nil {
		t.Fatalf("%q: no provider", in.Diag)
	}
}

// TestNeverHard gives every rule's examples and all literals the wrong reply
// class: nothing may be hard.
func TestNeverHard(t *testing.T) {
	e := testEngine(t)
	c := newClassifier(t, Options{})
	texts := append([]string(nil), e.litText...)
	for i := range e.sources {
		for _, x := range e.sources[i].Examples {
			p := parse(x.Reply, "")
			texts = append(texts, p.text)
		}
	}
	for _, text := range texts {
		for _, prefix := range []string{"450 ", "451 4.1.1 ", "450 5.1.1 ", "550 4.1.1 ", "4.1.1 ", "x-pmta;", "550 5.1.1 ", "550 5.2.1 "} {
			in := Input{Diag: prefix + text}
			checkVerdict(t, in, c.Classify(in))
		}
	}
}

func TestProviders(t *testing.T) {
	e := testEngine(t)
	mailbox, filters := 0, 0
	for _, p := range e.providers {
		if p.Kind == KindFilter {
			filters++
		} else {
			mailbox++
		}
		if p.Name == "" {
			t.Errorf("%s has no name", p.ID)
		}
	}
	if mailbox+filters < 60 || filters < 10 {
		t.Errorf("%d mailbox providers, %d filters", mailbox, filters)
	}
	c := newClassifier(t, Options{})
	for _, x := range []struct{ mx, rcpt, reply, want string }{
		{mx: "gmail-smtp-in.l.google.com (192.0.2.1)", want: "gmail"},
		{mx: "alt1.GMAIL-smtp-in.l.google.com.", want: "gmail"},
		{mx: "aspmx.l.google.com", rcpt: "bob@gmail.com", want: "google_workspace"},
		{mx: "hotmail-com.olc.protection.outlook.com", want: "microsoft_consumer"},
		{mx: "acme-com.mail.protection.outlook.com", want: "microsoft_business"},
		{mx: "acme-com.abc.mx.microsoft", want: "microsoft_business"},
		{mx: "mx-eu.mail.am0.yahoodns.net", want: "yahoo"},
		{mx: "eu-smtp-inbound-1.mimecast.com", rcpt: "gmail.com", want: "mimecast"},
		{mx: "notgoogle.com", want: "notgoogle.com"},
		{mx: "google.com.attacker.example", want: "attacker.example"},
		{mx: "mx.acme.com", want: "acme.com"}, // not me.com
		{mx: "mx1.mail.some.co.uk", want: "some.co.uk"},
		{mx: "[192.0.2.1]", want: ""},
		{mx: "192.0.2.1", want: ""},
		{rcpt: "bob@hotmail.com", want: "microsoft_consumer"},
		{rcpt: "outlook.com", want: "microsoft_consumer"},
		{rcpt: "bob@mail.example", want: ""},
		{reply: "550 5.2.1 no - gsmtp", want: "gmail"},
		{reply: "550 5.7.1 no [a.eop-nam02.prod.protection.outlook.com]", want: "microsoft_business"},
		{reply: "553 5.7.2 [TSS09] no", want: "yahoo"},
		{mx: "mx.unknown.example", reply: "550 no. OFR_506", want: "orange"},
	} {
		reply := x.reply
		if reply == "" {
			reply = "550 5.7.1 no"
		}
		for range 2 { // the second answer comes from the caches
			if r := c.Classify(Input{Diag: reply, MX: x.mx, Rcpt: x.rcpt}); r.Provider.ID != x.want {
				t.Errorf("mx %q, rcpt %q, reply %q: provider %q, want %q", x.mx, x.rcpt, x.reply, r.Provider.ID, x.want)
			}
		}
	}
}

func TestCaptures(t *testing.T) {
	c := newClassifier(t, Options{})
	for _, x := range []struct{ reply, code, list, object, auth string }{
		{reply: "550 5.7.1 part of your network is on our block list (S3140)", code: "S3140"},
		{reply: "554 5.7.1 client blocked using zen.spamhaus.org", list: "spamhaus_zen", object: "ip"},
		{reply: "554 5.7.1 domain is on dbl.spamhaus.org", list: "spamhaus_dbl", object: "domain"},
		{reply: "554 5.7.1 link is on multi.surbl.org", list: "surbl", object: "url"},
		{reply: "550 5.7.1 HELO found in Spamhaus (S8001)", code: "S8001", list: "spamhaus", object: "helo"},
		{reply: "553 5.7.1 [BL21] no", code: "BL21", list: "spamhaus", object: "ip"},
		{reply: "550 5.7.1 SPF check failed", auth: "spf"},
		{reply: "550 5.7.1 neither SPF nor DKIM did pass"},
		{reply: "550 5.7.1 DMARC says reject, SPF and DKIM failed", auth: "dmarc"},
		{reply: "421 4.7.32 From is not aligned - gsmtp", code: "4.7.32", auth: "alignment"},
		{reply: "421 4.7.28 slow - gsmtp", code: "4.7.28"},
		{reply: "550 5.1.1 no such user"},
	} {
		r := c.Classify(Input{Diag: x.reply})
		if r.ProviderCode != x.code || r.Blocklist != x.list || r.BlocklistObject != x.object || r.AuthMechanism != x.auth {
			t.Errorf("%q: code %q, list %q of %q, mechanism %q; rule %s", x.reply, r.ProviderCode, r.Blocklist, r.BlocklistObject, r.AuthMechanism, r.RuleID)
		}
	}
}

func TestCacheAndStats(t *testing.T) {
	c := newClassifier(t, Options{})
	a := c.Classify(Input{Diag: "550 5.1.1 <a@mail.example> no such user", MX: "mx.a.example"})
	b := c.Classify(Input{Diag: "550 5.1.1 <b@mail.example> no such user", MX: "mx.b.example"})
	if a.Verdict != b.Verdict {
		t.Error("the same template at two unknown hosts is classified twice")
	}
	if a.Provider.ID != "a.example" || b.Provider.ID != "b.example" {
		t.Errorf("providers %q and %q", a.Provider.ID, b.Provider.ID)
	}
	g := c.Classify(Input{Diag: "421 4.7.28 lorem", MX: "aspmx.l.google.com"})
	o := c.Classify(Input{Diag: "421 4.7.28 lorem", MX: "mx.a.example"})
	if g.Category != RateLimited || o.Category == RateLimited {
		t.Errorf("%s at Google, %s elsewhere: the provider is not part of the key", g.Category, o.Category)
	}
	for range 3 {
		c.Classify(Input{Diag: "250 2.0.0 ok"})
	}
	s := c.Stats()
	if s.Hits != 1 || s.Misses != 3 || s.Accepted != 3 || s.Entries != 3 || s.Unclassified != 1 || s.Version == "" {
		t.Errorf("%+v", s)
	}
}

func TestHitDoesNotAllocate(t *testing.T) {
	c := newClassifier(t, Options{})
	for _, in := range []Input{
		{Diag: "smtp;550 5.1.1 <bob@mail.example>: no such user", MX: "mx1.mail.example (192.0.2.1)", DSNStatus: "5.1.1 (bad destination mailbox address)", Rcpt: "bob@mail.example"},
		{Diag: "smtp;421 4.7.0 [TSS04] Messages from 192.0.2.1 deferred - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", MX: "mta5.am0.yahoodns.net (192.0.2.9)"},
		{Diag: "smtp;250 2.0.0 OK 4F2A1B3C99", MX: "mx1.mail.example"},
		{Diag: "smtp;550 lorem ipsum", MX: "mx1.mail.example"},
	} {
		c.Classify(in)
		if n := testing.AllocsPerRun(100, func() { c.Classify(in) }); n != 0 {
			t.Errorf("%q: %.0f allocations", in.Diag, n)
		}
	}
}

// TestMemoryBound sends unique templates and checks that the caches and the
// list of templates stop growing.
func TestMemoryBound(t *testing.T) {
	const size = 1024
	c := newClassifier(t, Options{CacheSize: size, UnclassifiedCacheSize: size, MXCacheSize: size, PendingTemplates: size})
	r := rand.New(rand.NewPCG(5, 6))
	word := func() string {
		b := make([]byte, 12)
		for i := range b {
			b[i] = 'a' + byte(r.IntN(26))
		}
		return string(b)
	}
	send := func(n int) {
		for range n {
			mx := "mx." + word() + ".example"
			c.Classify(Input{Diag: "550 5.0.0 " + word() + strings.Repeat(" "+word(), 40), MX: mx})
			c.Classify(Input{Diag: "550 5.1.1 no such user " + word() + strings.Repeat(" x"+word(), 40), MX: mx})
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	send(4 * size)
	before := heap()
	send(20 * size)
	after := heap()
	s := c.Stats()
	if s.Evictions == 0 || s.Entries > 2*size*5/4 {
		t.Errorf("%d entries, %d evictions", s.Entries, s.Evictions)
	}
	if n := len(c.Pending().Templates()); n > size {
		t.Errorf("%d unclassified templates, want at most %d", n, size)
	}
	if c.Pending().Displaced() == 0 {
		t.Error("no template was displaced")
	}
	if after > before+1<<20 {
		t.Errorf("heap grew from %d to %d bytes", before, after)
	}
	runtime.KeepAlive(c)
}

func writeFile(t *testing.T, name, data string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUserRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my.yaml")
	writeFile(t, file, `rules:
  - id: mine
    category: greylisted
    tier: code
    any_of: ["lorem ipsum"]
    regex: "lorem ipsum (?P<provider_code>[a-z]9)"
    examples: ["450 lorem ipsum x9"]
    not_examples: ["450 lorem ipsum 99"]
  - {id: unknown.user, category: policy, tier: strong, any_of: ["no such user"]}
  - {id: spam.words, category: spam_content, tier: strong, disabled: true}
`)
	c := newClassifier(t, Options{RulesFile: file})
	check := func(reply string, want Category) {
		t.Helper()
		if r := c.Classify(Input{Diag: reply}); r.Category != want {
			t.Errorf("%q: %s by %q, want %s", reply, r.Category, r.RuleID, want)
		}
	}
	check("450 lorem ipsum a9", Greylisted)
	check("550 no such user", Policy)
	if code := c.Classify(Input{Diag: "450 lorem ipsum a9"}).ProviderCode; code != "A9" {
		t.Errorf("captured code %q", code)
	}
	if r := c.Classify(Input{Diag: "550 high spam score"}); r.RuleID == "spam.words" {
		t.Error("a disabled rule wins")
	}
	version := c.Version()
	if !strings.Contains(version, "+") {
		t.Errorf("version %q does not tell of the user's rules", version)
	}

	// A broken file: refused, the old rules stay.
	for name, x := range map[string]struct{ data, want string }{
		"category":     {"rules:\n\n  - {id: a, category: nonsense, tier: strong, any_of: [x]}\n", `my.yaml:3: rule "a": unknown category "nonsense"`},
		"field":        {"rules:\n  - id: a\n    category: policy\n    colour: red\n", `my.yaml:4: rule "a": unknown field "colour"`},
		"no id":        {"rules:\n  - category: policy\n", "my.yaml:2: id is missing"},
		"same id":      {"rules:\n  - &a {id: a, category: policy, tier: weak, any_of: [x]}\n  - *a\n", "rule must be a mapping"},
		"two ids":      {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x]}\n  - {id: a, category: policy, tier: weak, any_of: [x]}\n", `my.yaml:3: rule "a": id is used on line 2 already`},
		"tier":         {"rules:\n  - {id: a, category: policy, tier: great, any_of: [x]}\n", "want code, noted, strong"},
		"score":        {"rules:\n  - {id: a, category: policy, tier: weak, score: 90, any_of: [x]}\n", "not within 9"},
		"regex alone":  {"rules:\n  - {id: a, category: policy, tier: weak, regex: x}\n", "needs a literal"},
		"bad regex":    {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x], regex: '('}\n", "missing closing"},
		"all":          {"rules:\n  - {id: a, category: policy, tier: generic}\n", "matches everything"},
		"provider":     {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x], provider: [nobody]}\n", `unknown provider "nobody"`},
		"reply":        {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x], reply: ['6']}\n", `reply "6"`},
		"enhanced":     {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x], enhanced: ['5.1']}\n", `enhanced status "5.1"`},
		"empty":        {"rules:\n  - {id: a, category: policy, tier: weak, any_of: ['...']}\n", "no letter or digit"},
		"max words":    {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x], max_words: -1}\n", "max_words needs"},
		"within":       {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x], within: 5}\n", "within needs"},
		"example":      {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x], examples: ['550 y']}\n", `example "550 y" is taken by rule ""`},
		"not yaml":     {"rules: [", "my.yaml"},
		"no such key":  {"rulez: []\n", "rulez"},
		"object":       {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x], set: {blocklist_object: car}}\n", "blocklist_object"},
		"mechanism":    {"rules:\n  - {id: a, category: policy, tier: weak, any_of: [x], set: {auth_mechanism: rsa}}\n", "auth_mechanism"},
		"wrong type":   {"rules:\n  - {id: a, category: policy, tier: weak, any_of: x}\n", `rule "a"`},
		"matches none": {"rules:\n  - 5\n", "must be a mapping"},
	} {
		writeFile(t, file, x.data)
		err := c.Reload()
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: error %v, want %q", name, err, x.want)
		}
		check("450 lorem ipsum a9", Greylisted)
		if c.Version() != version {
			t.Errorf("%s: version changed to %s", name, c.Version())
		}
	}
	writeFile(t, file, "rules: []\n")
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	check("550 no such user", RecipientUnknown)
	if c.Version() == version || c.Stats().Reloads != 1 {
		t.Errorf("version %s, %d reloads", c.Version(), c.Stats().Reloads)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reload without a file: %v", err)
	}
	check("550 no such user", RecipientUnknown)
}

func TestWatch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my.yaml")
	writeFile(t, file, "rules: []\n")
	c := newClassifier(t, Options{RulesFile: file})
	ctx, cancel := context.WithCancel(t.Context())
	reports := make(chan error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Watch(ctx, time.Millisecond, func(err error) {
			select {
			case reports <- err:
			case <-ctx.Done():
			}
		})
	}()
	replace := func(data string) {
		t.Helper()
		writeFile(t, file+".new", data)
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	replace("rules:\n  - {id: mine, category: greylisted, tier: code, any_of: [lorem]}\n")
	if err := <-reports; err != nil {
		t.Fatal(err)
	}
	if r := c.Classify(Input{Diag: "450 lorem"}); r.Category != Greylisted {
		t.Errorf("%s after the change", r.Category)
	}
	replace("rules: [broken\n\n\n")
	if err := <-reports; err == nil {
		t.Error("a broken file is not reported")
	}
	if r := c.Classify(Input{Diag: "450 lorem"}); r.Category != Greylisted {
		t.Errorf("%s after a broken change", r.Category)
	}
	cancel()
	<-done
}

func TestPending(t *testing.T) {
	now := time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)
	c := newClassifier(t, Options{Now: func() time.Time { return now }})
	for range 3 {
		c.Classify(Input{Diag: "550 lorem <bob@mail.example> ipsum", MX: "mx.web.de"})
	}
	c.Classify(Input{Diag: "550 dolor sit"})
	for day := range 9 {
		now = now.Add(24 * time.Hour)
		for range day + 1 {
			c.Classify(Input{Diag: "550 lorem <eve@mail.example> ipsum", MX: "mx.web.de"})
		}
	}
	ts := c.Pending().Templates()
	if len(ts) != 2 || ts[0].Count != 48 || ts[1].Count != 1 || ts[0].Provider != "web_de" || ts[0].ReplyCode != 550 {
		t.Fatalf("%+v", ts)
	}
	if n := len(ts[0].Samples); n != pendingDays {
		t.Errorf("%d samples, want %d", n, pendingDays)
	}
	last := ts[0].Samples[len(ts[0].Samples)-1]
	if last.Day != "2026-12-02" || last.Count != 9 || last.Text != "550 lorem <{email}> ipsum" {
		t.Errorf("last sample %+v", last)
	}
	if !ts[0].Last.Equal(now) || !ts[0].First.Equal(time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)) {
		t.Errorf("seen %s to %s", ts[0].First, ts[0].Last)
	}

	file := filepath.Join(t.TempDir(), "unclassified.jsonl")
	if err := c.Pending().Save(file); err != nil {
		t.Fatal(err)
	}
	d := newClassifier(t, Options{Now: func() time.Time { return now }})
	if err := d.Pending().Load(file); err != nil {
		t.Fatal(err)
	}
	d.Classify(Input{Diag: "550 lorem <al@mail.example> ipsum", MX: "mx.web.de"})
	got := d.Pending().Templates()
	if len(got) != 2 || got[0].Count != 49 || got[0].Samples[pendingDays-1].Count != 10 || len(got[0].Samples) != pendingDays {
		t.Errorf("after a restart: %+v", got)
	}
	if err := d.Pending().Load(file + ".none"); err != nil {
		t.Errorf("no file: %v", err)
	}
	writeFile(t, file, "{}\n")
	if err := d.Pending().Load(file); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("bad file: %v", err)
	}
}

func TestExplain(t *testing.T) {
	c := newClassifier(t, Options{})
	x := c.Explain(Input{Diag: "550 5.1.1 no such user, policy", MX: "mx.web.de"})
	if x.Category != RecipientUnknown || x.ProviderFrom != "mx" || len(x.Matches) < 2 || !x.Matches[0].Winner || x.Matches[0].RuleID != x.RuleID {
		t.Errorf("%+v", x)
	}
	runners := 0
	for _, m := range x.Matches {
		if m.RunnerUp {
			runners++
			if m.Category == x.Category {
				t.Errorf("runner-up %s has the winner's category", m.RuleID)
			}
		}
	}
	if runners != 1 {
		t.Errorf("%d runners-up", runners)
	}
}

func TestConcurrent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my.yaml")
	writeFile(t, file, "rules: []\n")
	c := newClassifier(t, Options{CacheSize: 64, RulesFile: file})
	done := make(chan error)
	for g := range 4 {
		go func() {
			for i := range 2000 {
				in := Input{Diag: fmt.Sprintf("550 5.1.1 no such user w%c%c", 'a'+i%26, 'a'+g), MX: fmt.Sprintf("mx.h%d.example", i%50)}
				if r := c.Classify(in); r.Category != RecipientUnknown {
					done <- fmt.Errorf("%q: %s", in.Diag, r.Category)
					return
				}
			}
			done <- nil
		}()
	}
	if err := c.Reload(); err != nil {
		t.Error(err)
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func FuzzClassify(f *testing.F) {
	c := newClassifier(f, Options{CacheSize: 256})
	f.Add("smtp;550 5.1.1 <bob@mail.example>: no such user", "5.1.1 (bad)", "mx.web.de (192.0.2.1)", "bob@mail.example")
	f.Add("x-pmta;bounce-queue;reply:550-5.7.1 a 550 5.7.1 b said: 421 x", "", "[192.0.2.1]", "")
	f.Add("550 \x1b$B%f\x1b( {ip} {email https://a.b/c?d=e#f 1.2.3.4/5 a...b@c:d", "4.4.7", "..", "@")
	f.Add("554 can't e mail black list the a ' ' n't", "", "", "")
	f.Fuzz(func(t *testing.T, diag, status, mx, rcpt string) {
		in := Input{Diag: diag, DSNStatus: status, MX: mx, Rcpt: rcpt}
		r := c.Classify(in)
		checkVerdict(t, in, r)
		if again := c.Classify(in); again.Category != r.Category || again.TemplateID != r.TemplateID || again.Provider.ID != r.Provider.ID {
			t.Fatalf("%q: %s, then %s", diag, r.Category, again.Category)
		}
		if x := c.Explain(in); x.Category != r.Category || x.RuleID != r.RuleID {
			t.Fatalf("%q: %s, but explained as %s", diag, r.Category, x.Category)
		} else if len(x.FullTemplate) > 2*maxMasked || !utf8.ValidString(x.FullTemplate) {
			t.Fatalf("template %q", x.FullTemplate)
		}
	})
}

// Verdicts are kept by template: what a template does not show must not change
// them.
func TestControlCharactersAreSpace(t *testing.T) {
	c := newClassifier(t, Options{})
	for _, sep := range []string{" ", "\x00", "\x1f", "\x7f", "\t", "\r\n"} {
		in := Input{Diag: "smtp;550" + sep + "5.1.1" + sep + "<b" + sep + "gone"}
		r, x := c.Classify(in), c.Explain(in)
		if r.Category != x.Category || r.Enhanced != x.Enhanced || x.Enhanced != "5.1.1" {
			t.Errorf("%q: %s %s, explained as %s %s", in.Diag, r.Category, r.Enhanced, x.Category, x.Enhanced)
		}
	}
}

// TestStageIsNoReason: the command that Postfix names behind a reply is no part
// of what the other side said.
func TestStageIsNoReason(t *testing.T) {
	c := newClassifier(t, Options{})
	for reply, want := range map[string]Category{
		"550 Denied by policy (in reply to end of DATA command)":                     Policy,
		"554 5.7.1 your host is on our blocklist (in reply to MAIL FROM command)":    ReputationIP,
		"550 5.1.1 no such user (in reply to RCPT TO command) [mx.mail.example]":     RecipientUnknown,
		"554 5.7.1 mail is spam (in reply to something that goes on without an end)": SpamContent,
		"554 5.7.1 mail is spam (in reply to":                                        SpamContent,
	} {
		if r := c.Classify(Input{Diag: reply}); r.Category != want {
			t.Errorf("%q: %s, rule %s, want %s", reply, r.Category, r.RuleID, want)
		}
	}
}

// TestDoubtIsNotHard gives replies in which the words of a bad address stand
// beside words that may mean the sender, the host or a limit.
func TestDoubtIsNotHard(t *testing.T) {
	c := newClassifier(t, Options{})
	for _, reply := range []string{
		"550-Verification failed for <news@mail.example> 550-No such user 550 Sender verify failed",
		"550 Postmaster verification: asked <postmaster@mail.example>, answer was user unknown",
		"554 5.7.1 the return domain you use is an invalid domain",
		"501 5.0.0 invalid domain name",
		"550 mailbox unavailable, sending mail did not work, try again later",
		"553 address invalid, must be fully qualified",
		"554 more than three unknown recipients, good bye",
		"550 cannot verify <news@mail.example>: unknown user",
		"550 user unknown, your IP is listed somewhere",
		"554 unknown user or too many tries",
		"550 5.1.1 you went over the maximum number of unknown users",
		"550 5.1.1 wrong recipients exceed our limit",
		"550 5.2.1 message sending for this account is disabled",
		"554 relay is denied here, no such user",  // as clear a cause
		"550 5.4.4 there is no way to that place", // routing may be mended
		"550 5.1.1 suppressed, the address unknown",
		"550 5.7.1 the gardener could not find user kettle and teapot", // odd words and no status that confirms
		"550 From: user unknown",
		"550 5.5.1 no such user of that verb", // the status speaks of something else
		"550 5.2.2 mailbox is disabled",
		"550 5.1.1 bounces and vacation answers were discarded", // nothing but the status, and odd words
		"550 5.7.1 unknown user agent",
		"550 5.1.1 callout to the writer: no such user",
	} {
		if r := c.Classify(Input{Diag: reply}); r.Type == TypeHard {
			t.Errorf("%q: %s is hard, rule %s", reply, r.Category, r.RuleID)
		}
	}
	for _, reply := range []string{
		"550 5.1.1 no such user, see our policy", // the status says it too
		"550 5.2.1 mailbox is disabled, it went over a limit of days",
		"550 5.1.2 unknown domain, no rate for it",
		"550 no such mailbox here",
		"550 5.1.1 sorry, not this one",
		"553 5.3.0 <bob@mail.example>... No such user here", // 5.3.0 says nothing
		"550 an error.Unknown user",                         // a space is missing
		"550 5.1.1 <bob@mail.example>: User unknown (in reply to RCPT TO command)",
		"550 Sorry, your message could not be delivered: there is no such user on this server",
		"550 5.2.1 <bob@mail.example>: inactive email address",
		"550 5.1.1 the gardener could not find user kettle and teapot", // the status confirms
	} {
		if r := c.Classify(Input{Diag: reply}); r.Type != TypeHard {
			t.Errorf("%q: %s is %s, rule %s", reply, r.Category, r.Type, r.RuleID)
		}
	}
	own := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(own, []byte(`rules: [{id: own, category: recipient_unknown, tier: strong, any_of: ["nobody of that name"], examples: ["550 nobody of that name, dear sender"]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	u := newClassifier(t, Options{RulesFile: own})
	if r := u.Classify(Input{Diag: "550 nobody of that name, dear sender"}); r.Type != TypeHard {
		t.Errorf("a user's rule is %s", r.Type)
	}
}
