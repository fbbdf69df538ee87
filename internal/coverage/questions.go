package coverage

import (
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// question is a row of the table: what a mail engineer asks, and what PMTA has
// to write for an answer.
type question struct {
	id   string // stable: it is in events
	text string

	// A question about a record type: wants is that type, and it is missing
	// for certain when it was not among so many records that span that time.
	wants       acct.Type
	afterN      int64
	afterHours  int
	needsConfig string // what else PMTA's configuration must have
	note        string // for a person

	// A question about a column: any of columns answers it, in the records of
	// types. also is to be added together with the first of columns.
	columns []string
	also    []string
	types   []acct.Type

	// A column that is there but empty is no answer either. attr is the
	// attribute that a filled one gives; emptyBlock is the configuration that
	// fills it, "" if the acct-file block does.
	attr       string
	emptyNote  string
	emptyBlock string
	// partly says that some empty ones among the records are enough.
	partly bool

	version string // PMTA version that knows the column, "" for all
	unknown bool   // cannot be seen in accounting files
}

const (
	tD  = acct.TypeDelivery
	tB  = acct.TypeBounce
	tT  = acct.TypeTransient
	tTQ = acct.TypeTransientQueue
	tR  = acct.TypeReceipt
	tF  = acct.TypeFeedback
	tRB = acct.TypeRemoteBounce
	tRS = acct.TypeRemoteStatus
)

func of(t ...acct.Type) []acct.Type { return t }

const (
	manyRecords = "on a bad day many more records than d and b"
	needsFBL    = "a <feedback-loop-processor>"
	needsBounce = "a <bounce-processor>"
	// sampled is how many records without a value make it certain that a
	// column stays empty.
	sampled = 1000
	// partlySampled is the same for a column that is empty in part.
	partlySampled = 20
)

// table is ordered: first what decides the most.
// Sources: PowerMTA v5.0 User's Guide, sections 3.3.11, 11.2 and 12.7.
var table = []question{
	{id: "time", text: "When did it happen? Without it the agent rejects every record.", columns: []string{"timeLogged"}, types: of(tD, tB, tT, tTQ, tR, tF, tRB, tRS)},

	{id: "deliveries", text: "What was delivered, and what is the delivery rate?", wants: tD, afterN: 1000},
	{id: "bounces", text: "What bounced, and why?", wants: tB, afterN: 5000},
	{id: "deferrals", text: "Who defers or throttles us, how much of our mail, and since when?", wants: tT, afterN: 1000, note: manyRecords},
	{id: "connections", text: "Which servers cannot be reached, and which of our IPs are refused at connect?", wants: tTQ, afterN: 10_000, note: manyRecords},
	{id: "injection", text: "How much mail comes in, from which client, and what became of a message since then?", wants: tR, afterN: 1000},
	{id: "complaints", text: "Who complains, at which provider, about which mail?", wants: tF, afterN: 50_000, afterHours: 24, needsConfig: needsFBL},
	{id: "late-bounces", text: "Which mail came back after it had been accepted?", wants: tRB, afterN: 20_000, afterHours: 24, needsConfig: needsBounce},
	{id: "late-status", text: "Which mail was confirmed or delayed behind the first server?", wants: tRS, afterN: 20_000, afterHours: 24, needsConfig: needsBounce},

	{id: "recipient", text: "Which recipient, and which recipient domain?", columns: []string{"rcpt"}, types: of(tD, tB, tT, tR, tF, tRB, tRS)},
	{id: "complaint-recipient", text: "Who complained at Outlook? Its reports name the recipient in a header only.", columns: []string{"rcpt"}, types: of(tF),
		attr: semconv.SMTPRcptTo, partly: true, emptyNote: "some f records have no rcpt",
		emptyBlock: "# in the <acct-file> block with f:\n    map-header-to-field f header_X-HmXmrOriginalRecipient rcpt\n"},
	{id: "sender", text: "Which envelope sender, and which bounce domain?", columns: []string{"orig"}, types: of(tD, tB, tT, tR, tF, tRB, tRS)},
	{id: "reply", text: "What did the provider say, and what does it mean?", columns: []string{"dsnDiag"}, types: of(tD, tB, tT, tTQ, tRB, tRS)},
	{id: "status", text: "Which enhanced status code?", columns: []string{"dsnStatus"}, types: of(tD, tB, tT, tTQ, tRB, tRS)},
	{id: "bounce-category", text: "Which bounce category did PowerMTA choose?", columns: []string{"bounceCat"}, types: of(tB, tT, tRB)},
	{id: "provider", text: "Which mailbox provider, by its MX host?", columns: []string{"dsnMta"}, types: of(tD, tB, tT, tTQ)},
	{id: "destination-ip", text: "Which server of the provider?", columns: []string{"dlvDestinationIp", "dsnMta"}, types: of(tD, tB, tT, tTQ)},
	{id: "queue", text: "Which queue is slow or blocked?", columns: []string{"queue"}, types: of(tD, tB, tT, tTQ), version: "4.0"},
	{id: "queue-time", text: "How long does mail wait in the queue?", columns: []string{"timeQueued", "totalSecondsQueued"}, types: of(tD, tB, tT)},
	{id: "source-ip", text: "Which of our IPs has the trouble, and is it all of them?", columns: []string{"dlvSourceIp"}, types: of(tD, tB, tT, tTQ)},
	{id: "vmta", text: "Which virtual MTA, so which stream or customer?", columns: []string{"vmta"}, types: of(tD, tB, tT, tTQ)},
	{id: "vmta-pool", text: "Which pool of virtual MTAs?", columns: []string{"vmtaPool"}, types: of(tD, tB, tT), version: "4.0"},
	{id: "campaign", text: "Which campaign, and which of them causes bounces or complaints?", columns: []string{"jobId"}, types: of(tD, tB, tT, tR),
		attr: semconv.PMTAJobID, emptyNote: "the column is there, but always empty",
		emptyBlock: "# for the hosts that hand in mail with a header X-Job:\n<source 10.0.0.0/8>\n    process-x-job yes\n</source>\n"},
	{id: "message-id", text: "Which message of the application is this?", columns: []string{"header_Message-Id"}, types: of(tD, tB, tT, tR, tF, tRB),
		attr: semconv.EmailMessageID, emptyNote: "the column is there, but empty in these records"},
	{id: "envelope-id", text: "Which envelope id did the application give (ENVID)?", columns: []string{"envId"}, types: of(tD, tB, tT, tR)},
	{id: "from-domain", text: "Which brand: the domain of the visible From, on which providers judge us?", columns: []string{"header_From"}, types: of(tD, tB, tT)},
	{id: "smtp-user", text: "Which SMTP user sends it, and is an account abused?", columns: []string{"rcvSmtpUser"}, types: of(tD, tB, tT, tR), version: "4.5"},
	{id: "client", text: "Which application server handed it in?", columns: []string{"srcMta"}, types: of(tD, tB, tT, tR)},
	{id: "tls", text: "How much mail goes out encrypted, and with which TLS version?", columns: []string{"dlvTlsProtocol"}, also: []string{"dlvTlsCipher"}, types: of(tD, tB, tT), version: "4.5"},
	{id: "message-size", text: "How large is the mail?", columns: []string{"dlvSize"}, types: of(tD)},
	{id: "complaint-type", text: "Which kind of complaint: abuse, fraud, opt-out?", columns: []string{"feedbackType"}, types: of(tF)},
	{id: "complaint-ip", text: "Which of our IPs sent the mail that was complained about?", columns: []string{"dlvSourceIp"}, types: of(tF)},

	{id: "count", text: "Did the agent get every record that PowerMTA wrote? PowerMTA's own count is in its log.", unknown: true},
}

// defaults holds the columns that "record-fields TYPE *" stands for, without
// type. In d, b and t they are the same.
var defaults = map[acct.Type][]string{
	tD: fieldsDBT, tB: fieldsDBT, tT: fieldsDBT,
	tTQ: strings.Split("timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta,queue", ","),
	tR:  strings.Split("timeLogged,orig,rcpt,orcpt,srcType,srcMta,rcvSourceIp,rcvDestinationIp,vmta,jobId,envId", ","),
	tF:  strings.Split("timeLogged,format,userAgent,envId,orig,rcpt,dlvSourceIp,feedbackType,reportedDomain", ","),
	tRB: strings.Split("timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,dsnMta,dsnReportingMta,bounceCat,srcType,srcMta,envId,format", ","),
	tRS: strings.Split("timeLogged,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,envId,format", ","),
}

var fieldsDBT = strings.Split("timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,"+
	"dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId", ",")

// byDefault holds columns that "*" gives too, in addition to defaults: newer
// versions have them, others not, and no restriction follows from their
// absence.
var byDefault = map[acct.Type][]string{
	tD: newerDBT, tB: newerDBT, tT: newerDBT,
	tR: {"vmtaPool"},
	tF: {"reportingMta", "repSourceIp", "header_From", "header_Return-Path", "header_X-job", "header_Subject"},
}

var newerDBT = []string{"queue", "vmtaPool", "timeFirstAttempt", "timeImprinted"}

// columnTypes says which record types may have a documented column, by lower
// case name.
var columnTypes = func() map[string][]acct.Type {
	m := map[string][]acct.Type{}
	for _, f := range acct.Fields() {
		if strings.HasSuffix(f.Column, "*") {
			continue
		}
		types := acct.Types
		if f.Types != "*" {
			types = nil
			for _, s := range strings.Fields(f.Types) {
				types = append(types, acct.ParseType(s))
			}
		}
		m[strings.ToLower(f.Column)] = types
	}
	return m
}()

// applies says whether records of type t may have a column; false also for a
// column that nobody has documented.
func applies(t acct.Type, column string) bool {
	l := strings.ToLower(column)
	switch {
	case l == "type":
		return false // always there
	case strings.HasPrefix(l, "header_"):
		return t != tTQ
	case strings.HasPrefix(l, "arf_"):
		return t == tF
	}
	for _, have := range columnTypes[l] {
		if have == t {
			return true
		}
	}
	return false
}

func documented(column string) bool {
	l := strings.ToLower(column)
	return columnTypes[l] != nil || strings.HasPrefix(l, "header_") || strings.HasPrefix(l, "arf_")
}
