package semconv

// Event names of the system log. The severity is in parentheses.
const (
	EventLog              = "pmta.log"                // entry that no pattern knows (from its words)
	EventMTAStart         = "pmta.mta.start"          // PowerMTA has started (INFO)
	EventMTAStop          = "pmta.mta.stop"           // PowerMTA stops or has stopped (INFO)
	EventMTAStartFailed   = "pmta.mta.start_failed"   // PowerMTA could not start (FATAL)
	EventMTACrash         = "pmta.mta.crash"          // crash, panic, abnormal exit (FATAL)
	EventConfigError      = "pmta.config.error"       // mistake in the configuration (ERROR)
	EventConfigReload     = "pmta.config.reload"      // configuration read again (INFO)
	EventSession          = "pmta.session"            // a whole SMTP session, put together from its lines
	EventSessionStart     = "pmta.session.start"      // session for a queue begins (INFO)
	EventSessionConnect   = "pmta.session.connect"    // connection being made, or made (INFO)
	EventSessionAccept    = "pmta.session.accept"     // connection from a client accepted (INFO)
	EventSessionTLS       = "pmta.session.tls"        // TLS (INFO)
	EventSessionClose     = "pmta.session.close"      // connection closed, with byte counts (INFO)
	EventSessionDone      = "pmta.session.done"       // session for a queue ends (INFO)
	EventSessionCommand   = "pmta.session.command"    // SMTP command, sent or received (INFO)
	EventSessionReply     = "pmta.session.reply"      // SMTP reply, received or sent (INFO)
	EventSessionData      = "pmta.session.data"       // bytes read or written (INFO)
	EventDNSError         = "pmta.dns.error"          // DNS trouble (WARN)
	EventDNSLookup        = "pmta.dns.lookup"         // DNS answer (INFO)
	EventTransferFailed   = "pmta.transfer.failed"    // message could not be transferred (WARN)
	EventSourceIPDisabled = "pmta.source_ip.disabled" // source IP taken out of use (WARN)
	EventSourceIPEnabled  = "pmta.source_ip.enabled"  // source IP back in use (INFO)
	EventQueueBackoff     = "pmta.queue.backoff"      // queue went to backoff mode (WARN)
	EventQueueNormal      = "pmta.queue.normal"       // queue went back to normal mode (INFO)
	EventAcctFileMoved    = "pmta.acct_file.moved"    // accounting file moved (INFO)
	EventPipeError        = "pmta.pipe.error"         // trouble with a pipe program (ERROR)
	EventWebhookError     = "pmta.webhook.error"      // upload to a webhook failed (ERROR)
	EventMonitorDenied    = "pmta.monitor.denied"     // access to the web monitor denied (WARN)
	EventMonitorRequest   = "pmta.monitor.request"    // request to the web monitor (INFO)
	EventLicenceError     = "pmta.licence.error"      // licence trouble (ERROR)
	EventSpoolError       = "pmta.spool.error"        // spool trouble (ERROR)
	EventDiskFull         = "pmta.disk.full"          // out of disk space (FATAL)
)

// Values of PMTAEventSource.
const (
	EventSourceLog    = "log"    // told by the system log
	EventSourceStatus = "status" // seen in the web monitor
)

// Any entry of the system log.
const (
	// PMTAEventSource is where an event that may come from two places was
	// seen. String, one of the EventSource values.
	PMTAEventSource = "pmta.event.source"
	// PMTALogPattern is the id of the pattern that knew the entry. String.
	// Example: "queue_backoff".
	PMTALogPattern = "pmta.log.pattern"
	// PMTALogContinuation marks lines that belong to the entry before, which
	// was shipped already when they were written. Bool, true or absent.
	PMTALogContinuation = "pmta.log.continuation"
	// PMTALogContinues is the log.record.uid of that entry. String.
	PMTALogContinues = "pmta.log.continues"
	// PMTAConnection is the number in parentheses before the text. Int.
	// Example: 20.
	PMTAConnection = "pmta.connection"
	// PMTAReason is why something happened, as written. String. May hold
	// personal data. Example: "421 4.7.28 rate limited".
	PMTAReason = "pmta.reason"
	// PMTAVersion is the version of PowerMTA. String. Example: "5.0r8".
	PMTAVersion = "pmta.version"
)

// Configuration, files and helpers of PowerMTA.
const (
	// PMTAConfigFile is the configuration file with the mistake. String.
	PMTAConfigFile = "pmta.config.file"
	// PMTAConfigLine is the line with the mistake. Int.
	PMTAConfigLine = "pmta.config.line"
	// PMTAAcctFilePath is the accounting file before it was moved. String.
	PMTAAcctFilePath = "pmta.acct_file.path"
	// PMTAAcctFileMovedTo is the accounting file after that. String.
	PMTAAcctFileMovedTo = "pmta.acct_file.moved_to"
	// PMTAAcctFileRecords is the number of records in it by PowerMTA's count,
	// absent when it did not count. Int.
	PMTAAcctFileRecords = "pmta.acct_file.records"
	// PMTAPipeCommand is the pipe program with its arguments. String.
	PMTAPipeCommand = "pmta.pipe.command"
	// PMTAPipeOperation is what failed: "starting", "writing to" or
	// "executing". String.
	PMTAPipeOperation = "pmta.pipe.operation"
	// PMTASpoolPath is the spool folder. String.
	PMTASpoolPath = "pmta.spool.path"
	// URLFull is the URL, with REDACTED for user and password. String.
	URLFull = "url.full"
	// URLPath is the path of a request. String. Example: "/status".
	URLPath = "url.path"
	// HTTPRequestMethod is the method of a request. String. Example: "GET".
	HTTPRequestMethod = "http.request.method"
	// HTTPResponseStatusCode is the status of an answer. Int. Example: 503.
	HTTPResponseStatusCode = "http.response.status_code"
	// DNSQuestionName is the name looked up. String.
	DNSQuestionName = "dns.question.name"
	// DNSQuestionType is the type of record looked up. String. Example: "MX".
	DNSQuestionType = "dns.question.type"
)

// Ports.
const (
	// NetworkPeerPort is the port of the remote server. Int. Example: 25.
	NetworkPeerPort = "network.peer.port"
	// NetworkLocalPort is the local port of the connection. Int.
	NetworkLocalPort = "network.local.port"
	// ClientPort is the port of the client. Int.
	ClientPort = "client.port"
)

// Sessions.
const (
	// SMTPCommand is a command line without credentials. String. May hold
	// personal data. Example: "EHLO mail.example.com".
	SMTPCommand = "smtp.command"
	// PMTASessionID is the log.record.uid of the session record that the entry
	// is a part of. String.
	PMTASessionID = "pmta.session.id"
	// PMTASessionDirection is outbound (PowerMTA is the client) or inbound.
	// String.
	PMTASessionDirection = "pmta.session.direction"
	// PMTASessionOutcome is how the session ended: delivered, partial (some
	// recipients or messages were refused), rejected (5xx), deferred (4xx),
	// no_connection, tls_failed, closed_early, idle (nothing was sent) or
	// unknown (the log does not tell). String.
	PMTASessionOutcome = "pmta.session.outcome"
	// PMTASessionDuration is the time from the first to the last line in
	// seconds; the log has no fractions. Double.
	PMTASessionDuration = "pmta.session.duration"
	// PMTATimeStarted is the time of the first line, nanoseconds since the
	// Unix epoch. Int.
	PMTATimeStarted = "pmta.time_started"
	// PMTASessionTranscript is what was said, a line for each command ("C: ")
	// and reply ("S: "), with the seconds since the line before in brackets
	// where there are any. String. May hold personal data.
	PMTASessionTranscript = "pmta.session.transcript"
	// PMTASessionTranscriptOmitted is the number of lines that PMTASessionTranscript
	// leaves out, because it would grow too long. Int, absent without.
	PMTASessionTranscriptOmitted = "pmta.session.transcript_omitted"
	// PMTASessionCommands is the number of commands. Int.
	PMTASessionCommands = "pmta.session.commands"
	// PMTASessionMessages is the number of messages accepted. Int.
	PMTASessionMessages = "pmta.session.messages"
	// PMTASessionMessagesRejected is the number of messages refused after
	// MAIL FROM or DATA. Int.
	PMTASessionMessagesRejected = "pmta.session.messages_rejected"
	// PMTASessionRecipientsAccepted is the number of RCPT TO accepted. Int.
	PMTASessionRecipientsAccepted = "pmta.session.recipients_accepted"
	// PMTASessionRecipientsRejected is the number of RCPT TO refused. Int.
	PMTASessionRecipientsRejected = "pmta.session.recipients_rejected"
	// PMTASessionBytesReceived is the number of bytes that PowerMTA read. Int.
	PMTASessionBytesReceived = "pmta.session.bytes_received"
	// PMTASessionBytesSent is the number of bytes that PowerMTA wrote. Int.
	PMTASessionBytesSent = "pmta.session.bytes_sent"
	// PMTASessionDataBytes is the number of bytes that "rd N" and "wr N" tell
	// of; the bytes themselves are removed. Int.
	PMTASessionDataBytes = "pmta.session.data_bytes"
	// PMTASessionLines is the number of log entries of the session. Int.
	PMTASessionLines = "pmta.session.lines"
	// PMTASessionIncomplete marks a session of which a part is missing. Bool,
	// true or absent.
	PMTASessionIncomplete = "pmta.session.incomplete"
	// PMTASessionIncompleteReason says what is missing: no_start (the first
	// lines), or why its end was not waited for: too_many, too_large, too_old,
	// superseded, restarted, end_of_log. String.
	PMTASessionIncompleteReason = "pmta.session.incomplete_reason"
	// PMTASessionAmbiguous marks a session whose lines have no connection
	// number and may be those of another one, open at the same time. Bool,
	// true or absent.
	PMTASessionAmbiguous = "pmta.session.ambiguous"
)
