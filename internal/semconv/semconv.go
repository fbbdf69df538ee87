// Package semconv holds every attribute name, event name and fixed value that
// this project writes, so that a rename is one change.
//
// Names follow the OpenTelemetry registry where it has one, the Elastic Common
// Schema (email.*) for message headers, smtp.* for what an SMTP server said,
// and pmta.* for what is PowerMTA's own.
package semconv

// SchemaURL identifies the version of these names. It is set on the resource
// and scope of everything that the project emits.
const SchemaURL = "https://otelcol-pmta.dev/schemas/1.0.0"

// Event names: the EventName of a log record, one for each record type.
const (
	EventDelivery       = "pmta.delivery"        // type d
	EventBounce         = "pmta.bounce"          // type b
	EventTransient      = "pmta.transient"       // type t
	EventTransientQueue = "pmta.transient_queue" // type tq
	EventReceipt        = "pmta.receipt"         // type r
	EventFeedback       = "pmta.feedback"        // type f
	EventRemoteBounce   = "pmta.remote_bounce"   // type rb
	EventRemoteStatus   = "pmta.remote_status"   // type rs
	EventUnknown        = "pmta.unknown"         // any other type
)

// Values of PMTAOutcome.
const (
	OutcomeSuccess = "success" // d, r
	OutcomeFailure = "failure" // b, t, tq, rb
	OutcomeUnknown = "unknown" // rs, f, unknown types
)

// Values of PMTADSNDiagType.
const (
	DiagTypeSMTP  = "smtp"   // a reply of the remote server
	DiagTypePMTA  = "x-pmta" // a decision of PowerMTA
	DiagTypeOther = "other"  // any other diagnostic type, or none
)

// The record itself.
const (
	// LogRecordUID is the identity of the record, 32 lower-case hex digits.
	// String. Example: "00c2a1f07d3e5b6899aabbccddeeff00".
	LogRecordUID = "log.record.uid"
	// PMTARecordType is the record type as written. String. Example: "tq".
	PMTARecordType = "pmta.record.type"
	// PMTARecordUnknownType marks a type that PowerMTA does not document.
	// Bool, true or absent.
	PMTARecordUnknownType = "pmta.record.unknown_type"
	// PMTAOutcome is success, failure or unknown. String.
	PMTAOutcome = "pmta.outcome"
	// PMTASanitized marks a record in which bytes that are not text (NUL,
	// invalid UTF-8) were written as \xNN. Bool, true or absent.
	PMTASanitized = "pmta.sanitized"
)

// Times and durations.
const (
	// PMTATimeQueued is when the message was queued, nanoseconds since the
	// Unix epoch. Int. Example: 1549662845000000000.
	PMTATimeQueued = "pmta.time_queued"
	// PMTATimeFirstAttempt is when delivery was first attempted, nanoseconds
	// since the Unix epoch. Int.
	PMTATimeFirstAttempt = "pmta.time_first_attempt"
	// PMTATimeImprinted is when the imprinter handled the message,
	// nanoseconds since the Unix epoch. Int.
	PMTATimeImprinted = "pmta.time_imprinted"
	// PMTAQueueDuration is the time from reception to this event in seconds.
	// Double. Example: 12.
	PMTAQueueDuration = "pmta.queue.duration"
)

// Envelope.
const (
	// SMTPMailFrom is the envelope sender. String. Personal data: VERP
	// senders hold the recipient. Example: "bounce+42@example.com".
	SMTPMailFrom = "smtp.mail_from"
	// SMTPRcptTo is the envelope recipient. String. Personal data.
	SMTPRcptTo = "smtp.rcpt_to"
	// PMTAOrigDomain is the domain of the envelope sender, lower case.
	// String. Example: "example.com".
	PMTAOrigDomain = "pmta.orig.domain"
	// PMTARcptDomain is the domain of the recipient, lower case. String.
	PMTARcptDomain = "pmta.rcpt.domain"
	// PMTAOrcpt is the original recipient (RFC 3461 ORCPT). String.
	// Example: "rfc822;user@example.com".
	PMTAOrcpt = "pmta.orcpt"
	// PMTAEnvelopeID is the envelope identifier (RFC 3461 ENVID). String.
	PMTAEnvelopeID = "pmta.envelope.id"
	// PMTAJobID is the job that the message belongs to. String.
	PMTAJobID = "pmta.job.id"
	// PMTAMessageSize is the size of the message in bytes. Int.
	PMTAMessageSize = "pmta.message.size"
	// PMTAUserString is the constant text of the accounting configuration.
	// String.
	PMTAUserString = "pmta.user_string"
	// UserName is the SMTP AUTH user that submitted the message. String.
	UserName = "user.name"
)

// What the remote side said.
const (
	// PMTADSNAction is the DSN action. String. Example: "relayed".
	PMTADSNAction = "pmta.dsn.action"
	// SMTPEnhancedStatus is the enhanced status code of dsnStatus. String.
	// Example: "5.1.1".
	SMTPEnhancedStatus = "smtp.enhanced_status"
	// PMTADSNStatusText is the text of dsnStatus without parentheses. String.
	// Example: "bad destination mailbox address".
	PMTADSNStatusText = "pmta.dsn.status_text"
	// PMTADSNDiag is dsnDiag as written. String. May hold personal data.
	// Example: "smtp;550 5.1.1 no such user".
	PMTADSNDiag = "pmta.dsn.diag"
	// PMTADSNDiagType is smtp, x-pmta or other. String.
	PMTADSNDiagType = "pmta.dsn.diag_type"
	// PMTADSNPMTAAction is what PowerMTA did by itself. String.
	// Examples: "bounce-queue", "deleted by administrator".
	PMTADSNPMTAAction = "pmta.dsn.pmta_action"
	// PMTADSNMTAIP is the address in dsnMta, present when it differs from
	// NetworkPeerAddress. String.
	PMTADSNMTAIP = "pmta.dsn.mta_ip"
	// SMTPResponseCode is the reply code in dsnDiag. Int. Example: 550.
	SMTPResponseCode = "smtp.response.code"
	// SMTPResponseEnhancedStatus is the enhanced status code in dsnDiag.
	// String. Example: "5.7.1".
	SMTPResponseEnhancedStatus = "smtp.response.enhanced_status"
	// SMTPResponseText is the reply in dsnDiag behind its codes. String.
	SMTPResponseText = "smtp.response.text"
	// PMTABounceCategory is PowerMTA's own bounce category. String.
	// Example: "bad-mailbox".
	PMTABounceCategory = "pmta.bounce_category"
	// PMTAESMTP lists the ESMTP extensions that the remote server offered.
	// String array. Example: ["8BITMIME", "SMTPUTF8"].
	PMTAESMTP = "pmta.esmtp"
)

// Peers and addresses.
const (
	// ServerAddress is the host name of the remote server. String.
	ServerAddress = "server.address"
	// NetworkPeerAddress is the IP address of the remote server. String.
	NetworkPeerAddress = "network.peer.address"
	// NetworkLocalAddress is the local IP address of the connection. String.
	NetworkLocalAddress = "network.local.address"
	// NetworkProtocolName is the protocol of the delivery. String, "smtp".
	NetworkProtocolName = "network.protocol.name"
	// ClientAddress is the IP address that submitted the message. String.
	ClientAddress = "client.address"
	// PMTASourceType is how the message was submitted. String: "smtp", "api".
	PMTASourceType = "pmta.source.type"
	// PMTASourceMTA is the HELO name of the submitter. String.
	PMTASourceMTA = "pmta.source.mta"
	// PMTASourceMTAIP is the IP address next to the HELO name. String.
	PMTASourceMTAIP = "pmta.source.mta_ip"
	// PMTASourceIP is the local IP address that the mail left from. String.
	PMTASourceIP = "pmta.source_ip"
	// PMTADeliveryType is how the message was delivered. String: "smtp",
	// "pipe", "file", "discard".
	PMTADeliveryType = "pmta.delivery.type"
	// TLSProtocolName is the protocol of the TLS session. String, "tls".
	TLSProtocolName = "tls.protocol.name"
	// TLSProtocolVersion is its version. String. Example: "1.2".
	TLSProtocolVersion = "tls.protocol.version"
	// TLSCipher is the cipher suite. String.
	TLSCipher = "tls.cipher"
)

// Queues and virtual MTAs.
const (
	// PMTAVMTA is the virtual MTA. String.
	PMTAVMTA = "pmta.vmta"
	// PMTAVMTAPool is the pool of virtual MTAs. String.
	PMTAVMTAPool = "pmta.vmta_pool"
	// PMTAQueueName is the queue as written. String.
	// Example: "example.com/vmta1".
	PMTAQueueName = "pmta.queue.name"
	// PMTAQueueDomain is the part before the slash, absent for a rollup.
	// String. Example: "example.com".
	PMTAQueueDomain = "pmta.queue.domain"
	// PMTAQueueVMTA is the part behind the slash. String. Example: "vmta1".
	PMTAQueueVMTA = "pmta.queue.vmta"
	// PMTAQueueRollup is the name of a rollup queue. String. Example:
	// "yahoo" of "yahoo.rollup/vmta1".
	PMTAQueueRollup = "pmta.queue.rollup"
)

// Message headers (header_* columns).
const (
	// EmailMessageID is the Message-Id without angle brackets. String.
	EmailMessageID = "email.message_id"
	// EmailSubject is the Subject, encoded words as they are. String.
	EmailSubject = "email.subject"
	// EmailFromAddress is the address in the From header. String.
	EmailFromAddress = "email.from.address"
	// EmailReplyToAddress is the address in the Reply-To header. String.
	EmailReplyToAddress = "email.reply_to.address"
	// EmailOriginationTimestamp is the Date header as written. String.
	EmailOriginationTimestamp = "email.origination_timestamp"
	// EmailXMailer is the X-Mailer header. String.
	EmailXMailer = "email.x_mailer"
	// PMTAHeaderFrom is the whole From header when it holds more than the
	// address. String.
	PMTAHeaderFrom = "pmta.header.from"
	// PMTAHeaderReplyTo is the whole Reply-To header when it holds more than
	// the address. String.
	PMTAHeaderReplyTo = "pmta.header.reply_to"
)

// Reports (types f, rb, rs).
const (
	// PMTAFeedbackType is the ARF feedback type. String. Example: "abuse".
	PMTAFeedbackType = "pmta.feedback.type"
	// PMTAReportFormat is the format of the report. String: "arf", "jmrp",
	// "dsn" or the name of a pattern file.
	PMTAReportFormat = "pmta.report.format"
	// PMTAReportSourceIP is repSourceIp. String.
	PMTAReportSourceIP = "pmta.report.source_ip"
	// PMTAReportedDomain is reportedDomain. String.
	PMTAReportedDomain = "pmta.reported_domain"
	// PMTAReportedDomainTo is reportedDomainTo. String.
	PMTAReportedDomainTo = "pmta.reported_domain_to"
	// PMTAReportedDomainFrom is reportedDomainFrom. String.
	PMTAReportedDomainFrom = "pmta.reported_domain_from"
	// PMTAReportingMTA is the server that made the report. String.
	PMTAReportingMTA = "pmta.reporting_mta"
	// UserAgentOriginal is the ARF User-Agent. String.
	UserAgentOriginal = "user_agent.original"
)

// Prefixes of names that depend on the input.
const (
	// PMTAPrefix comes before the snake_case name of a time column without a
	// name of its own. Int, nanoseconds since the Unix epoch.
	PMTAPrefix = "pmta."
	// PMTAHeaderPrefix comes before the lower_snake name of a header. String.
	PMTAHeaderPrefix = "pmta.header."
	// PMTAARFPrefix comes before the lower_snake name of an ARF field. String.
	PMTAARFPrefix = "pmta.arf."
	// PMTAFieldPrefix comes before the name of an unknown column as written.
	// String.
	PMTAFieldPrefix = "pmta.field."
	// PMTAUnparsedPrefix comes before the name of a column whose value is not
	// what the column should hold. String, the value as written.
	PMTAUnparsedPrefix = "pmta.unparsed."
)
