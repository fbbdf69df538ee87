package schema

import (
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// ECSVersion is the version of the Elastic Common Schema that is written and
// tested against.
const ECSVersion = "9.4.0"

// Conv is how a value changes on its way into a field.
type Conv uint8

// The conversions.
const (
	Same        Conv = iota // as it is
	Text                    // number as text
	List                    // array of one
	Address                 // mail address without angle brackets, empty left out
	Addresses               // the same as an array of one
	Host                    // host name without brackets; "unknown" and empty left out
	IP                      // IP address without brackets; anything else left out
	Nanos                   // seconds to nanoseconds, integer
	Millis                  // seconds to milliseconds, integer
	Date                    // nanoseconds since the Unix epoch to a date
	MailDate                // Date header (RFC 5322) to a date
	MinusOne                // less one
	NotMailDate             // the header itself when it is no date
	Bare                    // without address type: "rfc822;a@b" to a@b
	AddHost                 // joins a set of distinct hosts, as Host
	AddIP                   // joins a set of distinct addresses, as IP
	AddUser                 // joins a set of distinct users; not when redacted
	NewText                 // text unless it repeats pmta.dsn.diag
	Epoch                   // nanoseconds to seconds since the Unix epoch, milliseconds kept
	Hex                     // trace or span id
	Dataset                 // pmta. before it
	Grade                   // severity number to CIM's severity
)

var convNotes = [...]string{
	Same: "", Text: "as text", List: "array", Address: "without `<>`", Addresses: "without `<>`, array",
	Host: "without `[]`, not `unknown`", IP: "if it is an address", Nanos: "s → ns", Millis: "s → ms", Date: "ns → date",
	MailDate: "RFC 5322 → date", NotMailDate: "when it is no date", MinusOne: "− 1", Bare: "without `rfc822;`", AddHost: "one of a set", AddIP: "one of a set",
	AddUser: "one of a set, unless redacted", NewText: "unless it repeats `pmta.dsn.diag`", Epoch: "ns → s", Hex: "",
	Dataset: "`pmta.` before it", Grade: "number → word",
}

// String says what is done, for the documentation.
func (c Conv) String() string { return convNotes[c] }

// Field is a field of a schema that a row gives.
type Field struct {
	Name string
	// Type is the Elasticsearch type of an ECS field, see [Row].
	Type string
	Conv Conv
	// When limits the field to some record types; 0 is all.
	When Types
	// Rank decides when several rows give the same field: the lowest that has
	// a value wins.
	Rank int
	// Value is the value itself, for rows that are no attribute.
	Value string
	// Once says that the field tells of the PowerMTA, not of the record: in
	// place it is an attribute of the resource, see [Renderer.RenderResource].
	Once bool
}

// Source says where the value of a row comes from.
type Source uint8

// The sources.
const (
	Attribute  Source = iota // an attribute of the record
	ResourceOf               // an attribute of the resource
	Family                   // all attributes of the record that start so
	OfRecord                 // the record itself
)

// Row is a line of the table: an attribute and what becomes of it.
type Row struct {
	// Attr is the attribute; with Family its prefix and *; with OfRecord a
	// name in parentheses.
	Attr string
	// Kind is the type of the attribute.
	Kind acct.Kind
	From Source
	// Type is the Elasticsearch type of the attribute in the otel schema:
	// keyword, match_only_text, wildcard, ip, long, double, boolean, date,
	// date_nanos, flattened.
	Type string
	// OTel is the name in documents of the otel schema, when it is not Attr.
	OTel string
	// ECS and Splunk hold the fields of these schemas. Nil stands for the
	// name that [customECS] or [customCIM] makes, empty for none.
	ECS, Splunk []Field

	record recordSource
}

// recordSource is what an OfRecord row takes.
type recordSource uint8

const (
	recNone recordSource = iota
	recTime
	recObserved
	recEventName
	recSeverityText
	recSeverityNumber
	recBody
	recTraceID
	recSpanID
	recScope
	recScopeVersion
	recAction
	recCIMAction
	recOutcome
	recCategory
	recTypes
	recDataset
	recConst
)

func on(f Field, when Types) Field  { f.When = when; return f }
func rank(n int, f Field) Field     { f.Rank = n; return f }
func kw(name string, c Conv) Field  { return Field{Name: name, Type: "keyword", Conv: c} }
func ipf(name string) Field         { return Field{Name: name, Type: "ip", Conv: IP} }
func relIP() Field                  { return Field{Name: "related.ip", Type: "ip", Conv: AddIP} }
func relHost() Field                { return kw("related.hosts", AddHost) }
func relUser() Field                { return kw("related.user", AddUser) }
func cim(name string, c Conv) Field { return Field{Name: name, Conv: c} }
func constant(name, v string) Field { return Field{Name: name, Type: "keyword", Value: v} }
func kwList(name string) Field      { return Field{Name: name, Type: "keyword", Conv: List} }
func long(name string) Field        { return Field{Name: name, Type: "long"} }
func once(f Field) Field            { f.Once = true; return f }
func fs(f ...Field) []Field         { return f }

var none = []Field{}

// str is a row that stays what it is in every schema.
func str(attr string) Row { return Row{Attr: attr, Type: "keyword"} }

func num(attr, typ string, k acct.Kind) Row { return Row{Attr: attr, Type: typ, Kind: k} }

// rows is the one table.
var rows = []Row{
	// The record itself.
	{Attr: "(time)", From: OfRecord, record: recTime, Kind: acct.KindInt, Type: "date_nanos", OTel: "@timestamp",
		ECS: fs(Field{Name: "@timestamp", Type: "date", Conv: Date}, Field{Name: "event.end", Type: "date", Conv: Date},
			on(Field{Name: "email.delivery_timestamp", Type: "date", Conv: Date}, onD)),
		Splunk: fs(cim("time", Epoch))},
	{Attr: "(observed time)", From: OfRecord, record: recObserved, Kind: acct.KindInt, Type: "date_nanos", OTel: "observed_timestamp",
		ECS: fs(Field{Name: "event.created", Type: "date", Conv: Date}), Splunk: none},
	{Attr: "(event name)", From: OfRecord, record: recEventName, Type: "keyword", OTel: "event.name", ECS: none,
		Splunk: fs(cim("pmta_event_name", Same), on(rank(3, cim("signature_id", Same)), onLog))},
	{Attr: "(severity text)", From: OfRecord, record: recSeverityText, Type: "keyword", OTel: "severity_text",
		ECS: fs(kw("log.level", Same)), Splunk: fs(cim("pmta_severity", Same))},
	{Attr: "(severity number)", From: OfRecord, record: recSeverityNumber, Kind: acct.KindInt, Type: "long", OTel: "severity_number", ECS: none,
		Splunk: fs(on(cim("severity", Grade), onLog))},
	{Attr: "(body)", From: OfRecord, record: recBody, Type: "match_only_text", OTel: "body",
		ECS: fs(Field{Name: "message", Type: "match_only_text"}), Splunk: fs(on(cim("message_info", Same), onMail), on(cim("description", Same), onLog))},
	{Attr: "(trace id)", From: OfRecord, record: recTraceID, Type: "keyword", OTel: "trace_id", ECS: fs(kw("trace.id", Hex)), Splunk: none},
	{Attr: "(span id)", From: OfRecord, record: recSpanID, Type: "keyword", OTel: "span_id", ECS: fs(kw("span.id", Hex)), Splunk: none},
	{Attr: "(action)", From: OfRecord, record: recAction, OTel: "-", ECS: fs(kw("event.action", Same)), Splunk: fs(on(cim("signature", Same), onLog))},
	{Attr: "(action, CIM)", From: OfRecord, record: recCIMAction, OTel: "-", ECS: none, Splunk: fs(cim("action", Same))},
	{Attr: "(outcome)", From: OfRecord, record: recOutcome, OTel: "-", ECS: fs(rank(2, kw("event.outcome", Same))),
		Splunk: fs(on(rank(2, cim("recipient_status", Same)), onMail), on(rank(2, cim("pmta_outcome", Same)), onLog))},
	{Attr: "(category)", From: OfRecord, record: recCategory, OTel: "-", ECS: fs(kwList("event.category")), Splunk: none},
	{Attr: "(type)", From: OfRecord, record: recTypes, OTel: "-", ECS: fs(kwList("event.type")), Splunk: none},
	{Attr: "(stream)", From: OfRecord, record: recDataset, OTel: "-", ECS: fs(rank(2, kw("event.dataset", Same))), Splunk: none},
	{Attr: "(constant)", From: OfRecord, record: recConst, OTel: "-",
		ECS: fs(constant("event.kind", "event"), constant("event.module", "pmta"), once(constant("ecs.version", ECSVersion)),
			once(constant("observer.vendor", "Port25")), once(constant("observer.product", "PowerMTA")), once(constant("observer.type", "mta")),
			on(constant("network.direction", "outbound"), onAttempt), on(constant("network.direction", "inbound"), onR)),
		Splunk: fs(cim2("vendor_product", "Port25 PowerMTA"), cim2("process", "pmtad"), on(cim2("protocol", "smtp"), onMail),
			on(cim2("app", "pmta"), onLog), on(cim2("type", "event"), onLog))},

	// Identity.
	{Attr: semconv.LogRecordUID, Type: "keyword", ECS: fs(kw("event.id", Same)), Splunk: fs(cim("pmta_record_uid", Same), on(cim("id", Same), onLog))},
	{Attr: semconv.PMTAStream, Type: "keyword", ECS: fs(rank(1, kw("event.dataset", Dataset)), kw("pmta.stream", Same))},
	str(semconv.PMTARecordType),
	num(semconv.PMTARecordUnknownType, "boolean", acct.KindBool),
	{Attr: semconv.PMTAOutcome, Type: "keyword", ECS: fs(rank(1, kw("event.outcome", Same))), Splunk: fs(rank(1, cim("pmta_outcome", Same)))},
	num(semconv.PMTASanitized, "boolean", acct.KindBool),
	{Attr: semconv.LogRecordOriginal, Type: "match_only_text", ECS: fs(Field{Name: "event.original", Type: "keyword"}), Splunk: fs(cim("pmta_original", Same))},
	{Attr: semconv.LogFileName, Type: "keyword", ECS: fs(kw("pmta.file.name", Same)), Splunk: fs(cim("pmta_file_name", Same))},
	{Attr: semconv.LogFilePath, Type: "keyword", ECS: fs(kw("log.file.path", Same)), Splunk: fs(cim("pmta_file_path", Same))},
	{Attr: semconv.LogFileOffset, Type: "long", Kind: acct.KindInt, ECS: fs(Field{Name: "pmta.file.offset", Type: "long"}), Splunk: fs(cim("pmta_file_offset", Same))},

	// Times and durations.
	{Attr: semconv.PMTATimeQueued, Type: "long", Kind: acct.KindInt, ECS: fs(Field{Name: "event.start", Type: "date", Conv: Date}), Splunk: fs(cim("pmta_time_queued", Epoch))},
	timeRow(semconv.PMTATimeFirstAttempt),
	timeRow(semconv.PMTATimeImprinted),
	timeRow(semconv.PMTATimeSent),
	{Attr: semconv.PMTAQueueDuration, Type: "double", Kind: acct.KindDouble, ECS: fs(Field{Name: "event.duration", Type: "long", Conv: Nanos}),
		Splunk: fs(cim("delay", Millis), cim("duration", Same))},
	num(semconv.PMTAFirstAttemptElapsed, "double", acct.KindDouble),

	// Envelope.
	{Attr: semconv.SMTPMailFrom, Type: "keyword", ECS: fs(kw("email.sender.address", Address), relUser()),
		Splunk: fs(on(cim("src_user", Address), onMail), on(cim("return_addr", Address), onMail), on(cim("pmta_mail_from", Address), onLog))},
	{Attr: semconv.SMTPRcptTo, Type: "keyword", ECS: fs(kw("email.to.address", Addresses), relUser()),
		Splunk: fs(on(cim("recipient", Address), onMail), on(Field{Name: "recipient_count", Value: "1"}, onMail), on(cim("pmta_rcpt_to", Address), onLog))},
	{Attr: semconv.PMTAOrigDomain, Type: "keyword", Splunk: fs(cim("src_user_domain", Same))},
	str(semconv.PMTAOrigDomainUnicode),
	str(semconv.PMTAOrigBase),
	str(semconv.PMTAOrigForm),
	{Attr: semconv.PMTARcptDomain, Type: "keyword", ECS: fs(kw("destination.domain", Same), kw("pmta.rcpt.domain", Same)), Splunk: fs(on(cim("recipient_domain", Same), onMail), on(cim("pmta_rcpt_domain", Same), onLog))},
	str(semconv.PMTARcptDomainUnicode),
	{Attr: semconv.PMTAOrcpt, Type: "keyword", ECS: fs(kw("pmta.orcpt", Bare)), Splunk: fs(cim("orig_recipient", Bare))},
	{Attr: semconv.PMTAEnvelopeID, Type: "keyword", ECS: fs(kw("email.local_id", Same)), Splunk: fs(cim("internal_message_id", Same))},
	{Attr: semconv.PMTAJobID, Type: "keyword", Splunk: fs(cim("xref", Same))},
	{Attr: semconv.PMTAMessageSize, Type: "long", Kind: acct.KindInt, Splunk: fs(cim("size", Same))},
	str(semconv.PMTAUserString),
	{Attr: semconv.UserName, Type: "keyword", ECS: fs(kw("user.name", Same), relUser()), Splunk: fs(cim("user", Same))},

	// Reply.
	{Attr: semconv.PMTADSNAction, Type: "keyword", Splunk: fs(rank(1, cim("recipient_status", Same)))},
	{Attr: semconv.SMTPEnhancedStatus, Type: "keyword", ECS: fs(rank(1, kw("event.code", Same)), kw("smtp.enhanced_status", Same)),
		Splunk: fs(on(rank(2, cim("status_code", Same)), onMail), cim("pmta_enhanced_status", Same))},
	{Attr: semconv.PMTADSNStatusText, Type: "keyword", ECS: fs(rank(1, kw("event.reason", Same)))},
	{Attr: semconv.PMTAReason, Type: "match_only_text", ECS: fs(rank(0, kw("event.reason", Same)), Field{Name: "pmta.reason", Type: "match_only_text"},
		on(rank(3, Field{Name: "error.message", Type: "match_only_text"}), onFailure))},
	{Attr: semconv.PMTADSNDiag, Type: "match_only_text", ECS: fs(on(rank(1, Field{Name: "message", Type: "match_only_text"}), onMail),
		on(Field{Name: "pmta.dsn.diag", Type: "match_only_text"}, onLog), on(rank(2, Field{Name: "error.message", Type: "match_only_text"}), onFailure)),
		Splunk: fs(on(rank(1, cim("message_info", Same)), onMail), on(cim("pmta_dsn_diag", Same), onLog))},
	str(semconv.PMTADSNDiagType),
	{Attr: semconv.PMTADSNPMTAAction, Type: "keyword", ECS: fs(rank(2, kw("event.reason", Same)), kw("pmta.dsn.pmta_action", Same))},
	{Attr: semconv.PMTADSNMTAIP, Type: "ip", ECS: fs(ipf("pmta.dsn.mta_ip"), relIP())},
	{Attr: semconv.SMTPResponseCode, Type: "long", Kind: acct.KindInt,
		ECS:    fs(on(kw("error.code", Text), onFailure), Field{Name: "smtp.response.code", Type: "long"}),
		Splunk: fs(on(rank(1, cim("status_code", Same)), onMail), cim("pmta_response_code", Same))},
	{Attr: semconv.SMTPResponseEnhancedStatus, Type: "keyword", ECS: fs(rank(2, kw("event.code", Same)), kw("smtp.response.enhanced_status", Same)),
		Splunk: fs(on(rank(3, cim("status_code", Same)), onMail), cim("pmta_response_enhanced_status", Same))},
	{Attr: semconv.SMTPResponseText, Type: "match_only_text",
		ECS:    fs(on(rank(1, Field{Name: "error.message", Type: "match_only_text"}), onFailure)),
		Splunk: none},
	str(semconv.PMTABounceCategory),
	num(semconv.PMTAESMTP, "keyword", acct.KindStrings),
	{Attr: "log.record.template", Type: "match_only_text", ECS: fs(Field{Name: "pmta.response.template", Type: "match_only_text"}), Splunk: fs(cim("signature_extra", Same))},
	{Attr: "pmta.response.template_id", Type: "keyword", Splunk: fs(rank(2, cim("signature_id", Same)), cim("pmta_template_id", Same))},

	// Classification.
	{Attr: "error.type", Type: "keyword", ECS: fs(kw("error.type", Same)), Splunk: fs(on(rank(2, cim("signature", Same)), onMail), on(cim("pmta_error_type", Same), onLog))},
	{Attr: "smtp.bounce.category", Type: "keyword", Splunk: fs(rank(1, on(cim("signature", Same), notF)), cim("pmta_category", Same))},
	bounce("group"), bounce("type"), bounce("owner"),
	{Attr: "smtp.bounce.retryable", Type: "boolean", Kind: acct.KindBool, Splunk: fs(cim("pmta_category_retryable", Same))},
	bounce("provider"), bounce("provider_code"), bounce("blocklist"), bounce("blocklist_object"), bounce("auth_mechanism"),
	{Attr: "smtp.bounce.rule_id", Type: "keyword", ECS: fs(kw("rule.id", Same), kw("smtp.bounce.rule_id", Same), constant("rule.ruleset", "smtp_reply")),
		Splunk: fs(rank(1, cim("signature_id", Same)), cim("pmta_category_rule_id", Same))},
	bounce("match"),
	{Attr: "smtp.bounce.rules_version", Type: "keyword", ECS: fs(kw("rule.version", Same)), Splunk: fs(cim("pmta_category_rules_version", Same))},
	bounce("last_category"),
	{Attr: "pmta.provider", Type: "keyword"},

	// Attempts, repair, privacy.
	{Attr: semconv.PMTAAttempt, Type: "long", Kind: acct.KindInt, ECS: fs(Field{Name: "pmta.attempt.number", Type: "long"}),
		Splunk: fs(cim("retries", MinusOne), cim("pmta_attempt", Same))},
	num(semconv.PMTAAttemptExact, "boolean", acct.KindBool),
	str(semconv.PMTALastDeferralCategory),
	num(semconv.PMTARepaired, "keyword", acct.KindStrings),
	str(semconv.PMTARepairMatch),
	str(semconv.PMTARedactionKeyID),

	// Peers. A record of the system log that names a client is of a connection
	// to PowerMTA; its local address is where the client went.
	{Attr: semconv.ServerAddress, Type: "keyword", ECS: fs(kw("destination.address", Host), relHost()), Splunk: fs(rank(1, on(cim("dest", Host), notR)))},
	{Attr: semconv.NetworkPeerAddress, Type: "ip", ECS: fs(rank(1, on(ipf("destination.ip"), notR)), relIP()),
		Splunk: fs(rank(2, on(cim("dest", IP), notR)), rank(1, on(cim("dest_ip", IP), notR)))},
	{Attr: semconv.NetworkPeerPort, Type: "long", Kind: acct.KindInt, ECS: fs(rank(1, long("destination.port"))), Splunk: fs(rank(1, cim("dest_port", Same)))},
	{Attr: semconv.PMTASourceIP, Type: "ip", ECS: fs(rank(2, on(ipf("source.ip"), notR)), relIP()),
		Splunk: fs(rank(2, on(cim("src", IP), notR)), rank(2, on(cim("src_ip", IP), notR)))},
	{Attr: semconv.NetworkLocalAddress, Type: "ip",
		ECS: fs(rank(3, on(ipf("source.ip"), notR)), rank(2, on(ipf("destination.ip"), onInbound)), relIP()),
		Splunk: fs(rank(3, on(cim("src", IP), notR)), rank(3, on(cim("src_ip", IP), notR)),
			rank(3, on(cim("dest", IP), onInbound)), rank(2, on(cim("dest_ip", IP), onInbound)))},
	{Attr: semconv.NetworkLocalPort, Type: "long", Kind: acct.KindInt,
		ECS:    fs(rank(2, long("source.port")), on(rank(2, long("destination.port")), onInbound)),
		Splunk: fs(rank(2, cim("src_port", Same)), on(rank(2, cim("dest_port", Same)), onInbound))},
	{Attr: semconv.ClientAddress, Type: "ip", ECS: fs(rank(1, on(ipf("source.ip"), onInbound)), on(rank(1, ipf("client.ip")), notR), relIP()),
		Splunk: fs(rank(1, on(cim("src", IP), onInbound)), rank(1, on(cim("src_ip", IP), onInbound)))},
	{Attr: semconv.ClientPort, Type: "long", Kind: acct.KindInt, ECS: fs(rank(1, on(long("source.port"), onInbound)), on(long("client.port"), notR)),
		Splunk: fs(rank(1, cim("src_port", Same)))},
	{Attr: semconv.NetworkProtocolName, Type: "keyword", ECS: fs(kw("network.protocol", Same), constant("network.transport", "tcp")),
		Splunk: fs(on(cim("protocol", Same), onLog))},
	str(semconv.PMTASourceType),
	{Attr: semconv.PMTASourceMTA, Type: "keyword", ECS: fs(kw("pmta.source.mta", Host), relHost()), Splunk: fs(rank(1, cim("orig_src", Host)))},
	{Attr: semconv.PMTASourceMTAIP, Type: "ip", ECS: fs(ipf("pmta.source.mta_ip"), relIP()), Splunk: fs(rank(3, cim("orig_src", IP)))},
	str(semconv.PMTADeliveryType),
	{Attr: semconv.TLSProtocolName, Type: "keyword", ECS: fs(kw("tls.version_protocol", Same)), Splunk: fs(cim("pmta_tls_protocol", Same))},
	{Attr: semconv.TLSProtocolVersion, Type: "keyword", ECS: fs(kw("tls.version", Same)), Splunk: fs(cim("pmta_tls_version", Same))},
	{Attr: semconv.TLSCipher, Type: "keyword", ECS: fs(kw("tls.cipher", Same)), Splunk: fs(cim("pmta_tls_cipher", Same))},

	// Queues and virtual MTAs.
	str(semconv.PMTAVMTA),
	str(semconv.PMTAVMTAPool),
	{Attr: semconv.PMTAQueueName, Type: "keyword", Splunk: fs(cim("pmta_queue", Same))},
	str(semconv.PMTAQueueDomain),
	str(semconv.PMTAQueueDomainUnicode),
	str(semconv.PMTAQueueVMTA),
	str(semconv.PMTAQueueRollup),

	// Headers.
	{Attr: semconv.EmailMessageID, Type: "keyword", ECS: fs(Field{Name: "email.message_id", Type: "wildcard", Conv: Address}), Splunk: fs(cim("message_id", Address))},
	{Attr: semconv.EmailSubject, Type: "keyword", ECS: fs(kw("email.subject", Same)), Splunk: fs(cim("subject", Same))},
	{Attr: semconv.EmailFromAddress, Type: "keyword", ECS: fs(kw("email.from.address", Addresses), relUser()), Splunk: fs(cim("pmta_header_from_address", Address))},
	{Attr: semconv.EmailReplyToAddress, Type: "keyword", ECS: fs(kw("email.reply_to.address", Addresses), relUser()), Splunk: fs(cim("pmta_header_reply_to_address", Address))},
	{Attr: semconv.EmailOriginationTimestamp, Type: "keyword", ECS: fs(Field{Name: "email.origination_timestamp", Type: "date", Conv: MailDate}, kw("pmta.header_date", NotMailDate)), Splunk: fs(cim("pmta_header_date", Same))},
	{Attr: semconv.EmailXMailer, Type: "keyword", ECS: fs(kw("email.x_mailer", Same)), Splunk: fs(cim("pmta_header_x_mailer", Same))},
	family(semconv.PMTAHeaderPrefix),

	// Reports.
	{Attr: semconv.PMTAFeedbackType, Type: "keyword", Splunk: fs(rank(1, on(cim("signature", Same), onF)), cim("pmta_feedback_type", Same))},
	str(semconv.PMTAReportFormat),
	{Attr: semconv.PMTAReportSourceIP, Type: "ip", ECS: fs(rank(4, on(ipf("source.ip"), notR)), ipf("pmta.report.source_ip"), relIP()),
		Splunk: fs(rank(4, on(cim("src", IP), notR)), rank(4, on(cim("src_ip", IP), notR)), cim("pmta_report_source_ip", IP))},
	str(semconv.PMTAReportedDomain),
	str(semconv.PMTAReportedDomainTo),
	str(semconv.PMTAReportedDomainFrom),
	{Attr: semconv.PMTAReportingMTA, Type: "keyword", ECS: fs(kw("pmta.reporting_mta", Host), relHost()), Splunk: fs(rank(2, cim("orig_src", Host)), cim("pmta_reporting_mta", Host))},
	{Attr: semconv.UserAgentOriginal, Type: "keyword", ECS: fs(kw("user_agent.original", Same)), Splunk: fs(cim("pmta_user_agent", Same))},
	family(semconv.PMTAARFPrefix),
	family(semconv.PMTAFieldPrefix),
	family(semconv.PMTAUnparsedPrefix),
	{Attr: semconv.PMTADimensionPrefix + "*", From: Family, Type: "keyword", ECS: fs(kw("labels.*", Same)), Splunk: fs(cim("pmta_dimension_*", Same))},
	{Attr: semconv.PMTAPrefix + "time_*", From: Family, Kind: acct.KindInt, Type: "long",
		ECS: fs(Field{Name: "pmta.time_*", Type: "date_nanos", Conv: Date}), Splunk: fs(cim("pmta_time_*", Epoch))},

	// The system log.
	str(semconv.PMTAEventSource),
	num(semconv.PMTAEventInitial, "boolean", acct.KindBool),
	{Attr: semconv.PMTALogPattern, Type: "keyword", Splunk: fs(on(cim("signature_id", Same), onLog), cim("pmta_log_pattern", Same))},
	num(semconv.PMTALogContinuation, "boolean", acct.KindBool),
	str(semconv.PMTALogContinues),
	num(semconv.PMTAConnection, "long", acct.KindInt),
	{Attr: semconv.PMTAVersion, Type: "keyword", ECS: fs(kw("pmta.version", Same), kw("observer.version", Same))},
	{Attr: semconv.PMTAConfigFile, Type: "keyword", ECS: fs(kw("pmta.config.file", Same), rank(2, kw("file.path", Same)))},
	num(semconv.PMTAConfigLine, "long", acct.KindInt),
	{Attr: semconv.PMTAAcctFilePath, Type: "keyword", ECS: fs(kw("pmta.acct_file.path", Same), rank(1, kw("file.path", Same)))},
	str(semconv.PMTAAcctFileMovedTo),
	num(semconv.PMTAAcctFileRecords, "long", acct.KindInt),
	{Attr: semconv.PMTAPipeCommand, Type: "keyword", ECS: fs(kw("pmta.pipe.command", Same), Field{Name: "process.command_line", Type: "wildcard"})},
	str(semconv.PMTAPipeOperation),
	{Attr: semconv.PMTASpoolPath, Type: "keyword", ECS: fs(kw("pmta.spool.path", Same), rank(3, kw("file.path", Same)))},
	{Attr: semconv.URLFull, Type: "wildcard", Splunk: fs(cim("url", Same))},
	{Attr: semconv.URLPath, Type: "wildcard", Splunk: fs(cim("uri_path", Same))},
	{Attr: semconv.HTTPRequestMethod, Type: "keyword", Splunk: fs(cim("http_method", Same))},
	{Attr: semconv.HTTPResponseStatusCode, Type: "long", Kind: acct.KindInt, Splunk: fs(cim("status", Same))},
	{Attr: semconv.DNSQuestionName, Type: "keyword", Splunk: fs(cim("query", Same))},
	{Attr: semconv.DNSQuestionType, Type: "keyword", Splunk: fs(cim("record_type", Same))},
	str(semconv.PMTABackoffPattern),

	// Sessions.
	str(semconv.SMTPCommand),
	str(semconv.PMTASessionID),
	{Attr: semconv.PMTASessionDirection, Type: "keyword", ECS: fs(kw("network.direction", Same), kw("pmta.session.direction", Same))},
	str(semconv.PMTASessionOutcome),
	{Attr: semconv.PMTASessionDuration, Type: "double", Kind: acct.KindDouble, ECS: fs(rank(1, Field{Name: "event.duration", Type: "long", Conv: Nanos})),
		Splunk: fs(rank(1, cim("duration", Same)))},
	{Attr: semconv.PMTATimeStarted, Type: "long", Kind: acct.KindInt, ECS: fs(rank(1, Field{Name: "event.start", Type: "date", Conv: Date})), Splunk: fs(cim("pmta_time_started", Epoch))},
	{Attr: semconv.PMTASessionTranscript, Type: "match_only_text"},
	num(semconv.PMTASessionTranscriptOmitted, "long", acct.KindInt),
	num(semconv.PMTASessionCommands, "long", acct.KindInt),
	num(semconv.PMTASessionMessages, "long", acct.KindInt),
	num(semconv.PMTASessionMessagesRejected, "long", acct.KindInt),
	num(semconv.PMTASessionRecipientsAccepted, "long", acct.KindInt),
	num(semconv.PMTASessionRecipientsRejected, "long", acct.KindInt),
	num(semconv.PMTASessionBytesReceived, "long", acct.KindInt),
	num(semconv.PMTASessionBytesSent, "long", acct.KindInt),
	num(semconv.PMTASessionDataBytes, "long", acct.KindInt),
	num(semconv.PMTASessionLines, "long", acct.KindInt),
	num(semconv.PMTASessionIncomplete, "boolean", acct.KindBool),
	str(semconv.PMTASessionIncompleteReason),
	num(semconv.PMTASessionAmbiguous, "boolean", acct.KindBool),

	// What the agent finds out.
	str(semconv.PMTACoverageGap),
	{Attr: semconv.PMTACoverageQuestion, Type: "match_only_text"},
	num(semconv.PMTACoverageMissing, "keyword", acct.KindStrings),
	{Attr: semconv.PMTACoverageConfig, Type: "match_only_text"},
	str(semconv.PMTACoverageFile),
	str(semconv.PMTAReconciliationOutcome),
	num(semconv.PMTAReconciliationEmitted, "long", acct.KindInt),
	num(semconv.PMTAReconciliationRejected, "long", acct.KindInt),
	num(semconv.PMTAReconciliationDuplicates, "long", acct.KindInt),
	num(semconv.PMTAReconciliationDifference, "long", acct.KindInt),

	// The resource.
	{Attr: "service.name", From: ResourceOf, Type: "keyword", ECS: fs(kw("service.name", Same)), Splunk: fs(cim("pmta_service_name", Same))},
	{Attr: "service.version", From: ResourceOf, Type: "keyword", ECS: fs(kw("service.version", Same), rank(1, kw("observer.version", Same))), Splunk: fs(cim("pmta_service_version", Same))},
	{Attr: "service.instance.id", From: ResourceOf, Type: "keyword", ECS: fs(kw("service.node.name", Same)), Splunk: fs(cim("pmta_instance", Same))},
	{Attr: "host.name", From: ResourceOf, Type: "keyword", ECS: fs(kw("host.name", Same), kw("observer.hostname", Same)),
		Splunk: fs(cim("host", Same), on(rank(9, cim("dest", Same)), onLog), on(rank(9, cim("src", Same)), onLog))},
	{Attr: "pmta.tenant", From: ResourceOf, Type: "keyword", ECS: fs(kw("organization.id", Same), kw("pmta.tenant", Same)), Splunk: fs(cim("pmta_tenant", Same))},
}

func cim2(name, v string) Field { return Field{Name: name, Value: v} }

// timeRow is a time beyond what ECS has a field for.
func timeRow(attr string) Row {
	return Row{Attr: attr, Type: "long", Kind: acct.KindInt,
		ECS: fs(Field{Name: attr, Type: "date_nanos", Conv: Date}), Splunk: fs(cim(customCIM(attr), Epoch))}
}

func bounce(name string) Row {
	return Row{Attr: "smtp.bounce." + name, Type: "keyword", Splunk: fs(cim("pmta_category_"+name, Same))}
}

// family is attributes with names from the input: one flattened object.
func family(prefix string) Row {
	return Row{Attr: prefix + "*", From: Family, Type: "flattened",
		ECS: fs(Field{Name: prefix + "*", Type: "flattened"}), Splunk: fs(cim(customCIM(prefix)+"*", Same))}
}

// customCIM makes the CIM name of an attribute without a field of its own:
// pmta_ and the name with underscores.
func customCIM(attr string) string {
	return "pmta_" + strings.ReplaceAll(strings.TrimPrefix(attr, "pmta."), ".", "_")
}

func init() {
	for i := range rows {
		r := &rows[i]
		if r.ECS == nil {
			r.ECS = fs(Field{Name: r.Attr, Type: r.Type})
		}
		if r.Splunk == nil {
			r.Splunk = fs(cim(customCIM(r.Attr), Same))
		}
		if r.OTel == "" {
			r.OTel = r.Attr
		}
	}
}

// Rows returns the table. The caller must not change it.
func Rows() []Row { return rows }

// Fields returns the fields of the row in a schema, none for OTel.
func (r *Row) Fields(s Schema) []Field {
	switch s {
	case ECS:
		return r.ECS
	case SplunkCIM:
		return r.Splunk
	}
	return nil
}
