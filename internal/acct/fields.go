package acct

//go:generate sh -c "go run ../tools/fielddoc > ../../docs/fields.md"

import (
	"strconv"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// op says how the value of a column becomes attributes.
type op uint8

const (
	opSkip     op = iota // handled before the other columns
	opString             // text as written
	opInt                // decimal integer
	opSeconds            // seconds, fraction allowed
	opTime               // a time, nanoseconds since the Unix epoch
	opQueued             // a time, and the start of the queue duration
	opAddress            // mail address and its domain
	opStatus             // "5.1.1 (text)"
	opDiag               // "smtp;550 5.1.1 text", "x-pmta;action;reply:550 text"
	opDSNMTA             // "host (ip)" of the remote server
	opSrcMTA             // "host (ip)" of the submitter
	opPeer               // IP address of the remote server
	opLocal              // IP address that the mail left from
	opDelivery           // how the message was delivered
	opList               // comma-separated list
	opVMTA               // virtual MTA
	opPool               // pool of virtual MTAs
	opQueue              // "domain/vmta", "name.rollup/vmta"
	opAngle              // "<id>"
	opMailbox            // header with a mail address in it
	opTLS                // "TLSv1.2"
)

// Field describes one documented column.
type Field struct {
	Column string // as PowerMTA writes it; a trailing * stands for any name
	Types  string // record types that have it, "*" for all
	Attrs  []FieldAttr
	Note   string // how the value is read, for the documentation
	op     op
}

// FieldAttr is an attribute that a column may give.
type FieldAttr struct {
	Key  string // a trailing * stands for a name made from the column's
	Kind Kind
	// shared says that another column may set the same attribute and that the
	// decoder knows which one wins.
	shared bool
}

func str(keys ...string) []FieldAttr {
	a := make([]FieldAttr, len(keys))
	for i, k := range keys {
		a[i] = FieldAttr{Key: k, Kind: KindString}
	}
	return a
}

func one(key string, k Kind) []FieldAttr { return []FieldAttr{{Key: key, Kind: k}} }

const (
	dbt   = "d b t"
	dbtq  = "d b t tq"
	dbtr  = "d b t r"
	dbtrb = "d b t r rb rs"
)

// fields is the one table of columns. The first attribute of an entry is the
// one that holds the main part of the value.
// Source: PowerMTA v5.0 User's Guide, sections 11.2 and 12.6 to 12.10.
var fields = []Field{
	{Column: "type", Types: "*", Attrs: str(semconv.PMTARecordType), op: opSkip,
		Note: "as written; also EventName, severity and `pmta.outcome`"},
	{Column: "timeLogged", Types: "*", op: opSkip, Note: "the record's Timestamp; a record without it is rejected"},
	{Column: "timeQueued", Types: dbt, Attrs: []FieldAttr{{Key: semconv.PMTATimeQueued, Kind: KindInt}, {Key: semconv.PMTAQueueDuration, Kind: KindDouble, shared: true}}, op: opQueued,
		Note: "nanoseconds since the Unix epoch; the duration is timeLogged − timeQueued when there is no totalSecondsQueued"},
	{Column: "timeFirstAttempt", Types: dbt, Attrs: one(semconv.PMTATimeFirstAttempt, KindInt), op: opTime, Note: "nanoseconds since the Unix epoch"},
	{Column: "timeImprinted", Types: dbt, Attrs: one(semconv.PMTATimeImprinted, KindInt), op: opTime, Note: "nanoseconds since the Unix epoch"},
	{Column: "time*", Types: "*", Attrs: one(semconv.PMTAPrefix+"time_*", KindInt), op: opTime, Note: "any other column whose name starts with time; name in snake case, nanoseconds since the Unix epoch"},
	{Column: "totalSecondsQueued", Types: dbt, Attrs: one(semconv.PMTAQueueDuration, KindDouble), op: opSeconds, Note: "seconds"},
	{Column: "orig", Types: "d b t r f rb rs", Attrs: str(semconv.SMTPMailFrom, semconv.PMTAOrigDomain), op: opAddress, Note: "domain behind the last @, lower case"},
	{Column: "rcpt", Types: "d b t r f rb rs", Attrs: str(semconv.SMTPRcptTo, semconv.PMTARcptDomain), op: opAddress, Note: "domain behind the last @, lower case"},
	{Column: "orcpt", Types: dbtrb, Attrs: str(semconv.PMTAOrcpt), op: opString},
	{Column: "dsnAction", Types: "d b t rs", Attrs: str(semconv.PMTADSNAction), op: opString},
	{Column: "dsnStatus", Types: "d b t tq rb rs", Attrs: str(semconv.PMTADSNStatusText, semconv.SMTPEnhancedStatus), op: opStatus, Note: "code, and the text in parentheses"},
	{Column: "dsnDiag", Types: "d b t tq rb rs", Attrs: []FieldAttr{
		{Key: semconv.PMTADSNDiag, Kind: KindString}, {Key: semconv.PMTADSNDiagType, Kind: KindString},
		{Key: semconv.PMTADSNPMTAAction, Kind: KindString}, {Key: semconv.SMTPResponseCode, Kind: KindInt},
		{Key: semconv.SMTPResponseEnhancedStatus, Kind: KindString}, {Key: semconv.SMTPResponseText, Kind: KindString}},
		op: opDiag, Note: "whole, and the reply in its parts"},
	{Column: "dsnMta", Types: "d b t tq rb rs", Attrs: []FieldAttr{
		{Key: semconv.ServerAddress, Kind: KindString}, {Key: semconv.NetworkPeerAddress, Kind: KindString, shared: true},
		{Key: semconv.PMTADSNMTAIP, Kind: KindString}}, op: opDSNMTA,
		Note: "`host (ip)`; the address goes to `pmta.dsn.mta_ip` when dlvDestinationIp has another one"},
	{Column: "bounceCat", Types: "d b t rb rs", Attrs: str(semconv.PMTABounceCategory), op: opString},
	{Column: "srcType", Types: dbtrb, Attrs: str(semconv.PMTASourceType), op: opString},
	{Column: "srcMta", Types: dbtrb, Attrs: str(semconv.PMTASourceMTA, semconv.PMTASourceMTAIP), op: opSrcMTA, Note: "`host (ip)`"},
	{Column: "dlvType", Types: dbtq, Attrs: str(semconv.PMTADeliveryType, semconv.NetworkProtocolName), op: opDelivery, Note: "the protocol name is set when the value is smtp"},
	{Column: "dlvSourceIp", Types: "d b t tq f", Attrs: str(semconv.PMTASourceIP, semconv.NetworkLocalAddress), op: opLocal, Note: "the local address only in d, b, t and tq"},
	{Column: "dlvDestinationIp", Types: dbtq, Attrs: []FieldAttr{{Key: semconv.NetworkPeerAddress, Kind: KindString, shared: true}}, op: opPeer},
	{Column: "dlvEsmtpAvailable", Types: dbt, Attrs: one(semconv.PMTAESMTP, KindStrings), op: opList},
	{Column: "dlvSize", Types: dbt, Attrs: one(semconv.PMTAMessageSize, KindInt), op: opInt, Note: "bytes"},
	{Column: "vmta", Types: "d b t tq r", Attrs: str(semconv.PMTAVMTA), op: opVMTA, Note: "absent in r when it repeats vmtaPool"},
	{Column: "vmtaPool", Types: dbtr, Attrs: str(semconv.PMTAVMTAPool), op: opPool},
	{Column: "jobId", Types: dbtr, Attrs: str(semconv.PMTAJobID), op: opString},
	{Column: "envId", Types: "d b t r f rb rs", Attrs: str(semconv.PMTAEnvelopeID), op: opString},
	{Column: "queue", Types: dbtq, Attrs: str(semconv.PMTAQueueName, semconv.PMTAQueueDomain, semconv.PMTAQueueVMTA, semconv.PMTAQueueRollup), op: opQueue,
		Note: "`domain/vmta` or `name.rollup/vmta`; a rollup queue has no domain"},
	{Column: "rcvSourceIp", Types: "r", Attrs: str(semconv.ClientAddress), op: opString},
	{Column: "rcvDestinationIp", Types: "r", Attrs: str(semconv.NetworkLocalAddress), op: opString},
	{Column: "rcvSmtpUser", Types: dbtr, Attrs: str(semconv.UserName), op: opString},
	{Column: "dlvTlsProtocol", Types: dbt, Attrs: str(semconv.TLSProtocolName, semconv.TLSProtocolVersion), op: opTLS, Note: "`TLSv1.2` is tls and 1.2"},
	{Column: "dlvTlsCipher", Types: dbt, Attrs: str(semconv.TLSCipher), op: opString},
	{Column: "userString", Types: "d b t tq r", Attrs: str(semconv.PMTAUserString), op: opString},
	{Column: "format", Types: "f rb rs", Attrs: str(semconv.PMTAReportFormat), op: opString},
	{Column: "feedbackType", Types: "f", Attrs: str(semconv.PMTAFeedbackType), op: opString},
	{Column: "userAgent", Types: "f", Attrs: str(semconv.UserAgentOriginal), op: opString},
	{Column: "repSourceIp", Types: "f", Attrs: str(semconv.PMTAReportSourceIP), op: opString},
	{Column: "reportingMta", Types: "f", Attrs: str(semconv.PMTAReportingMTA), op: opString},
	{Column: "dsnReportingMta", Types: "rb", Attrs: str(semconv.PMTAReportingMTA), op: opString},
	{Column: "reportedDomain", Types: "f", Attrs: str(semconv.PMTAReportedDomain), op: opString},
	{Column: "reportedDomainTo", Types: "f", Attrs: str(semconv.PMTAReportedDomainTo), op: opString},
	{Column: "reportedDomainFrom", Types: "f", Attrs: str(semconv.PMTAReportedDomainFrom), op: opString},
	{Column: "header_Message-Id", Types: "*", Attrs: str(semconv.EmailMessageID), op: opAngle, Note: "without angle brackets"},
	{Column: "header_Subject", Types: "*", Attrs: str(semconv.EmailSubject), op: opString},
	{Column: "header_From", Types: "*", Attrs: str(semconv.PMTAHeaderFrom, semconv.EmailFromAddress), op: opMailbox, Note: "the whole value only when it holds more than the address"},
	{Column: "header_Reply-To", Types: "*", Attrs: str(semconv.PMTAHeaderReplyTo, semconv.EmailReplyToAddress), op: opMailbox, Note: "the whole value only when it holds more than the address"},
	{Column: "header_Date", Types: "*", Attrs: str(semconv.EmailOriginationTimestamp), op: opString},
	{Column: "header_X-Mailer", Types: "*", Attrs: str(semconv.EmailXMailer), op: opString},
	{Column: "header_*", Types: "*", Attrs: str(semconv.PMTAHeaderPrefix + "*"), op: opString, Note: "any other header; name in lower case, _ for anything but letters and digits"},
	{Column: "arf_*", Types: "f", Attrs: str(semconv.PMTAARFPrefix + "*"), op: opString, Note: "any ARF field; name in lower case, _ for anything but letters and digits"},
	{Column: "*", Types: "*", Attrs: str(semconv.PMTAFieldPrefix + "*"), op: opString, Note: "any other column, under its name as written"},
}

// Fields returns the table of documented columns, for documentation. The
// caller must not change it.
func Fields() []Field { return fields }

var byColumn = func() map[string]*Field {
	m := make(map[string]*Field, len(fields))
	for i := range fields {
		m[strings.ToLower(fields[i].Column)] = &fields[i]
	}
	return m
}()

// column is a header cell, compiled.
type column struct {
	op       op
	clash    bool      // an earlier column may have set one of the attributes
	key      [6]string // names of the attributes, in the order of the table
	name     string    // as written
	other    string    // pmta.field.<name>: for a value that lost to an earlier column
	unparsed string    // pmta.unparsed.<name>
}

// plan is a header, compiled.
type plan struct {
	names    []string
	cols     []column
	typeCol  int // -1 without
	timeCol  int // timeLogged, -1 without
	maxAttrs int // upper bound for one record
	// secondIsTime says that the second column is a time, which makes the
	// start of a record easy to tell from other text.
	secondIsTime bool
}

// Attributes that do not belong to one column: type, unknown type, outcome,
// duration, peer address, dsn.mta_ip, sanitized.
const extraAttrs = 7

func compile(names []string) *plan {
	p := &plan{
		names:    names,
		cols:     make([]column, len(names)),
		typeCol:  -1,
		timeCol:  -1,
		maxAttrs: extraAttrs,
	}
	set := map[string]bool{
		semconv.PMTARecordType: true, semconv.PMTARecordUnknownType: true,
		semconv.PMTAOutcome: true, semconv.PMTASanitized: true,
	}
	// The fallback names of a column must not be those of another one.
	lost := map[string]bool{}
	unique := func(prefix, name string) string {
		k := prefix + name
		for i := 2; lost[k]; i++ {
			k = prefix + name + "." + strconv.Itoa(i)
		}
		lost[k] = true
		return k
	}
	for i, name := range names {
		c := &p.cols[i]
		c.name = name
		c.other = unique(semconv.PMTAFieldPrefix, name)
		c.unparsed = unique(semconv.PMTAUnparsedPrefix, name)
		f := lookup(name)
		c.op = f.op
		if f.op == opSkip {
			switch {
			case f.Column == "type" && p.typeCol < 0:
				p.typeCol = i
				continue
			case f.Column == "timeLogged" && p.timeCol < 0:
				p.timeCol = i
				if i == 1 {
					p.secondIsTime = true
				}
				continue
			}
			// A second column of that name.
			c.op, c.key[0] = opString, c.other
			p.maxAttrs++
			continue
		}
		if i == 1 && (c.op == opTime || c.op == opQueued) {
			p.secondIsTime = true
		}
		for j, a := range f.Attrs {
			k := a.Key
			if strings.HasSuffix(k, "*") {
				switch f.Column {
				case "*":
					k = c.other
				case "time*":
					k = semconv.PMTAPrefix + snake(name)
				default:
					_, rest, _ := strings.Cut(name, "_")
					k = strings.TrimSuffix(k, "*") + lowerSnake(rest)
				}
			}
			c.key[j] = k
			if !a.shared {
				c.clash = c.clash || set[k]
				set[k] = true
			}
		}
		p.maxAttrs += len(f.Attrs)
	}
	return p
}

func lookup(name string) *Field {
	l := strings.ToLower(name)
	if f := byColumn[l]; f != nil && !strings.HasSuffix(f.Column, "*") {
		return f
	}
	switch {
	case strings.HasPrefix(l, "time"):
		return byColumn["time*"]
	case strings.HasPrefix(l, "header_") && len(l) > len("header_"):
		return byColumn["header_*"]
	case strings.HasPrefix(l, "arf_") && len(l) > len("arf_"):
		return byColumn["arf_*"]
	}
	return byColumn["*"]
}

// lowerSnake turns a header name into an attribute name: lower case, with _
// for anything but ASCII letters, digits and bytes beyond ASCII.
func lowerSnake(s string) string {
	b := []byte(strings.ToLower(s))
	for i, c := range b {
		if c < 0x80 && !isAlnum(c) {
			b[i] = '_'
		}
	}
	return string(b)
}

// snake turns timeFirstAttempt into time_first_attempt.
func snake(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z':
			if i > 0 && isAlnum(s[i-1]) && (s[i-1] < 'A' || s[i-1] > 'Z') {
				b.WriteByte('_')
			}
			b.WriteByte(c + 'a' - 'A')
		case c < 0x80 && !isAlnum(c):
			b.WriteByte('_')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// Layouts of rows that come before any header. The order is that of real
// files and of the guide's samples.
var (
	layout23 = compile(strings.Split("type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool", ","))
	layout22 = compile(layout23.names[:22])
	layout3x = compile(strings.Split("type,timeLogged,timeQueued,timeImprinted,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId", ","))
	layoutTQ = compile(strings.Split("type,timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta,queue", ","))
	layoutR  = compile(strings.Split("type,timeLogged,orig,rcpt,orcpt,srcType,srcMta,rcvSourceIp,rcvDestinationIp,vmta,jobId,envId", ","))
)
