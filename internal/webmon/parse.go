package webmon

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
)

// ParseStatus reads the page /status.
//
// Format source: a full XML page of 3.5 in jalalahmad/newrelic_pmta_agent and
// the fields of the JSON page of 5.0 in two client programs
// (pmta-formats.md 4.3). kb has one decimal, shuttingDown is 0/1 in XML and a
// boolean in JSON, numbers may be strings.
func ParseStatus(page []byte, opt ParseOptions) (*Status, error) {
	data, _, err := parse(page)
	if err != nil {
		return nil, err
	}
	st := data.child("status")
	if st == nil || len(st.kids) == 0 {
		return nil, fmt.Errorf("%w: there is no status in it", ErrPage)
	}
	s := &Status{
		Version:        limit(data.at("mta", "product").str("version"), maxName),
		HostName:       limit(data.child("mta").str("fullHostName"), maxName),
		State:          limit(st.str("status"), maxName),
		NowText:        limit(st.str("timeNow"), maxName),
		StartedText:    limit(st.str("startupTime"), maxName),
		ShuttingDown:   st.boolean("shuttingDown"),
		SMTPIn:         connections(st.at("conn", "smtpIn")),
		SMTPOut:        connections(st.at("conn", "smtpOut")),
		NamesCached:    st.child("resolver").integer("namesCached"),
		QueriesPending: st.child("resolver").integer("queriesPending"),
		QueriesActive:  st.child("resolver").integer("queriesActive"),
	}
	s.SetZone(opt)
	t := st.child("traffic")
	s.Total, s.LastHour, s.LastMinute = traffic(t.child("total")), traffic(t.child("lastHr")), traffic(t.child("lastMin"))
	s.TopPerHour, s.TopPerMinute = traffic(t.child("topPerHr")), traffic(t.child("topPerMin"))
	if q := st.child("queue"); q != nil {
		seen := map[string]bool{}
		for _, k := range q.kids {
			if len(k.kids) == 0 || len(s.Backlog) == 16 {
				continue
			}
			name := limit(snake(k.name), 64)
			if !seen[name] {
				seen[name] = true
				s.Backlog = append(s.Backlog, Backlog{Type: name,
					Recipients: k.integer("rcp"), Domains: k.integer("dom"), Bytes: k.kilobytes("kb")})
			}
		}
	}
	sp := st.child("spool")
	s.Spool = Spool{
		InitPercent: sp.float("initPct"), Directories: sp.integer("dirs"),
		FilesInUse: sp.child("files").integer("inUse"), FilesRecycled: sp.child("files").integer("recycled"),
		FilesTotal: sp.child("files").integer("total"),
		Recipients: sp.integer("totalRcp"), MaxRecipients: sp.integer("maxRcp"),
	}
	return s, nil
}

// SetZone reads the times of the page again, in the zone of opt. The page
// itself has to be read to know which zone that is; see [Zone].
func (s *Status) SetZone(opt ParseOptions) {
	s.Now, s.Started = opt.time(s.NowText), opt.time(s.StartedText)
}

func connections(n *node) Connections {
	return Connections{Current: n.integer("cur"), Max: n.integer("max"), Top: n.integer("top")}
}

func traffic(n *node) Traffic {
	flow := func(n *node) Flow {
		return Flow{Recipients: n.integer("rcp"), Messages: n.integer("msg"), Bytes: n.kilobytes("kb")}
	}
	return Traffic{In: flow(n.child("in")), Out: flow(n.child("out")),
		BounceProcessed: n.integer("bounceProcessed"), FeedbackLoopProcessed: n.integer("feedbackLoopProcessed")}
}

// snake turns "feedbackLoopProcessor" into "feedback_loop_processor".
func snake(s string) string {
	var b strings.Builder
	lower := false
	for _, r := range s {
		if unicode.IsUpper(r) && lower {
			b.WriteByte('_')
		}
		lower = unicode.IsLower(r) || unicode.IsDigit(r)
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			r = '_'
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Kind is a page with a list.
type Kind string

// The pages with lists. The value is the path of the page and the name of the
// JSON array.
const (
	Queues  Kind = "queues"
	Domains Kind = "domains"
	VMTAs   Kind = "vmtas"
	Jobs    Kind = "jobs"
)

// one returns the name of the XML element: "queue" of "queues".
func (k Kind) one() string { return strings.TrimSuffix(string(k), "s") }

// ParseList reads the page of kind k. Rows without a name are left out; of
// several with one name the first counts.
//
// Format source: XML /rsp/data/queue with name, rcp, kb and conn
// (newrelic_pmta_agent, munin-powermta for vmta); the same plus paused, mode,
// retryTime and event[] in the output of pmta --dom (MuPmta); JSON
// data.queues[] with errors[] in client programs (pmta-formats.md 4.4).
func ParseList(page []byte, k Kind, opt ParseOptions) (*List, error) {
	data, said, err := parse(page)
	if err != nil {
		return nil, err
	}
	one := k.one()
	total := "total" + one + "swithrcp"
	if !data.has(string(k), one, total, "totalRcp", "title") && (!said || len(data.kids) > 0) {
		return nil, fmt.Errorf("%w: there are no %s in it", ErrPage, k)
	}
	l := &List{Title: limit(data.str("title"), maxName), TotalRecipients: data.integer("totalRcp"), TotalRows: data.integer(total)}
	seen := map[string]bool{}
	for _, n := range data.items(string(k), one) {
		r := row(n, opt)
		if r.Name != "" && !seen[r.Name] {
			seen[r.Name] = true
			l.Rows = append(l.Rows, r)
		}
	}
	return l, nil
}

func row(n *node, opt ParseOptions) Row {
	r := Row{
		Name:       limit(n.str("name", "queue", "jobId", "domain", "vmta"), maxName),
		Recipients: n.integer("rcp"), Bytes: n.kilobytes("kb"), Connections: n.integer("conn"), Domains: n.integer("dom"),
		Paused: n.boolean("paused"), Mode: mode(n.str("mode")), RetryText: limit(n.str("retryTime", "nextRetry"), maxName),
	}
	if len(n.kids) == 0 {
		r.Name = limit(strings.TrimSpace(n.text), maxName)
	}
	for _, list := range []struct {
		kind  string
		names []string
	}{
		{EventError, []string{"errors", "error", "lastErrors", "lastError"}},
		{"", []string{"events", "event"}},
		{EventMode, []string{"modeEvents", "modeEvent", "modeChanges", "modeChange", "modes"}},
	} {
		for _, e := range n.items(list.names...) {
			if len(r.Events) == 200 {
				break
			}
			if e := event(e, list.kind, opt); e.Kind != "" {
				r.Events = append(r.Events, e)
			}
		}
	}
	return r
}

// event reads an error or a change of mode. Anything else has no Kind.
func event(n *node, kind string, opt ParseOptions) Event {
	e := Event{Kind: kind, Time: opt.time(n.str("time", "timestamp", "date"))}
	if typ := strings.ToLower(n.str("type", "kind")); kind == "" {
		switch {
		case typ == "" || strings.HasPrefix(typ, "err"):
			e.Kind = EventError
		case strings.HasPrefix(typ, "mode"):
			e.Kind = EventMode
		default:
			return Event{} // recipient events, with personal data
		}
	}
	text := n.str("text", "message", "reason", "error")
	if len(n.kids) == 0 {
		text = strings.TrimSpace(n.text)
	}
	e.Text = limit(text, maxText)
	if e.Kind == EventMode {
		if e.Mode = mode(n.str("mode", "newMode", "to")); e.Mode == "" {
			e.Mode = modeOf(e.Text)
		}
	}
	return e
}

func mode(s string) string {
	switch s = strings.ToLower(s); s {
	case ModeNormal, ModeBackoff:
		return s
	}
	return ""
}

var reTo = regexp.MustCompile(`(?i)(?:\b(?:in)?to|->|=>|entered|entering|now in|mode[:= ]+)\s*(normal|backoff)`)

// modeOf finds the mode that a text says the queue changed to. The wording is
// not known, so it takes what comes behind "to", or the last mode named before
// the quoted reply of a remote host.
func modeOf(text string) string {
	said, _, _ := strings.Cut(text, `"`)
	if m := reTo.FindAllStringSubmatch(said, -1); m != nil {
		return strings.ToLower(m[len(m)-1][1])
	}
	low := strings.ToLower(said)
	n, b := strings.LastIndex(low, ModeNormal), strings.LastIndex(low, ModeBackoff)
	switch {
	case b > n:
		return ModeBackoff
	case n > b:
		return ModeNormal
	}
	return ""
}

// ParseQueueDetail reads the page /queueDetail.
//
// Format source: what is on it is known from PowerMTA's own help
// (pmta-formats.md 4.4: mode, backoff reason with pattern and reply, disabled
// source IPs, last errors, changes of mode, recipient events), but not how the
// fields are called. So several names are taken for each, and lists in any of
// the forms that the other pages use.
func ParseQueueDetail(page []byte, opt ParseOptions) (*QueueDetail, error) {
	data, _, err := parse(page)
	if err != nil {
		return nil, err
	}
	n := data
	if !n.has("name", "mode", "rcp") {
		if q := data.items("queue", "queueDetail", "queues", "detail"); len(q) > 0 && len(q[0].kids) > 0 {
			n = q[0]
		}
	}
	d := &QueueDetail{Row: row(n, opt)}
	if d.Name == "" || !n.has("mode", "rcp") {
		return nil, fmt.Errorf("%w: there is no queue in it", ErrPage)
	}
	if r := n.child("backoffReason", "modeReason", "reason"); r != nil {
		d.BackoffPattern = limit(r.str("pattern", "regex"), maxText)
		d.BackoffReason = r.str("response", "reply", "smtpResponse", "text", "reason")
		if len(r.kids) == 0 {
			d.BackoffReason = strings.TrimSpace(r.text)
		}
	}
	if d.BackoffPattern == "" {
		d.BackoffPattern = limit(n.str("backoffPattern", "pattern"), maxText)
	}
	d.BackoffReason = limit(d.BackoffReason, maxText)
	if d.BackoffPattern == "" {
		d.BackoffPattern, d.BackoffReason = splitPattern(d.BackoffReason)
	}
	if s := d.BackoffReason; len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		d.BackoffReason = s[1 : len(s)-1]
	}
	for _, where := range []*node{n, data} {
		names := []string{"disabledSources", "disabledSource", "disabledSourceIps", "disabledSourceIp", "disabledSourceIPs", "disabledIps", "disabledIp", "sources", "source"}
		if !where.has(names...) {
			continue
		}
		d.DisabledListed = true
		for _, s := range where.items(names...) {
			if ip, ok := disabled(s, opt); ok && len(d.Disabled) < 1000 {
				d.Disabled = append(d.Disabled, ip)
			}
		}
		break
	}
	return d, nil
}

// splitPattern takes a pattern such as /^421 / off the front of a reason.
func splitPattern(s string) (pattern, reason string) {
	if len(s) > 2 && s[0] == '/' {
		for i := 1; i < len(s)-1; i++ {
			switch {
			case s[i] == '\\':
				i++
			case s[i] == '/' && (s[i+1] == ' ' || s[i+1] == ':'):
				return s[:i+1], strings.TrimLeft(s[i+1:], " :")
			}
		}
	}
	return "", s
}

func disabled(n *node, opt ParseOptions) (DisabledIP, bool) {
	text := strings.TrimSpace(n.text)
	if len(n.kids) > 0 {
		text = n.str("ip", "sourceIp", "source", "address", "addr", "name")
		// A list of all sources says which of them are enabled.
		if e := n.boolean("enabled"); e.OK && e.V {
			return DisabledIP{}, false
		}
		if d := n.boolean("disabled"); d.OK && !d.V {
			return DisabledIP{}, false
		}
	}
	d := DisabledIP{
		IP: firstIP(text), Since: opt.time(n.str("since", "disabledSince", "disabledAt", "time")),
		Reason: limit(n.str("reason", "response", "reply", "text"), maxText),
	}
	return d, d.IP != ""
}

// firstIP returns the first IP address in a text such as "host (192.0.2.1)".
func firstIP(s string) string {
	for _, f := range strings.FieldsFunc(limit(s, maxText), func(r rune) bool { return strings.ContainsRune(" ()[],;\"'<>", r) }) {
		if a, err := netip.ParseAddr(f); err == nil {
			return a.String()
		}
	}
	return ""
}

var reReply = regexp.MustCompile(`^[245]\d\d(?:[ -]|$)`)

// Reply returns the SMTP reply in a text, which is the text itself or the
// first of its parts in quotes that begins with a reply code, as in
//
//	Error: "521 5.2.1 no" while connected from HOST (IP) to HOST (IP)
//
// Quotes inside the reply are not escaped, so it ends before words that
// PowerMTA puts behind it, or at the last quote.
func Reply(text string) string {
	text = strings.TrimSpace(text)
	if reReply.MatchString(text) {
		return text
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '"' || !reReply.MatchString(text[i+1:]) {
			continue
		}
		rest := text[i+1:]
		end := len(rest)
		for _, tail := range []string{`" while connected from `, `" received from `} {
			if j := strings.Index(rest, tail); j >= 0 && j < end {
				end = j
			}
		}
		if end == len(rest) {
			if j := strings.LastIndexByte(rest, '"'); j >= 0 {
				end = j
			}
		}
		return strings.TrimSpace(rest[:end])
	}
	return ""
}

// ConnectedFrom returns the local IP address in the text of an error, such as
// "... while connected from HOST (192.0.2.1) to HOST (192.0.2.25)".
func ConnectedFrom(text string) string {
	_, rest, ok := strings.Cut(text, " while connected from ")
	if !ok {
		return ""
	}
	from, _, _ := strings.Cut(rest, " to ")
	return firstIP(from)
}
