package mainlog

import (
	"math"
	"strconv"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Outcomes of a session: values of semconv.PMTASessionOutcome.
const (
	OutcomeDelivered    = "delivered"
	OutcomePartial      = "partial"
	OutcomeRejected     = "rejected"
	OutcomeDeferred     = "deferred"
	OutcomeNoConnection = "no_connection"
	OutcomeTLSFailed    = "tls_failed"
	OutcomeClosedEarly  = "closed_early"
	OutcomeIdle         = "idle"
	OutcomeUnknown      = "unknown"
)

// outcome says how a session went: in words, and as semconv.PMTAOutcome.
func (s *session) outcome() (detail, outcome string) {
	switch {
	case s.messages > 0 && s.messagesRejected+s.rcptRefused > 0:
		return OutcomePartial, semconv.OutcomeSuccess
	case s.messages > 0:
		return OutcomeDelivered, semconv.OutcomeSuccess
	case s.fail != "" && s.fail[0] == '5':
		return OutcomeRejected, semconv.OutcomeFailure
	case s.fail != "":
		return OutcomeDeferred, semconv.OutcomeFailure
	case s.is(tlsBad):
		return OutcomeTLSFailed, semconv.OutcomeFailure
	case s.ended != endDone:
		return OutcomeUnknown, semconv.OutcomeUnknown // its end was not seen
	case !s.is(sawConnected | sawReply):
		if s.is(cutStart) && s.ip == "" {
			return OutcomeUnknown, semconv.OutcomeUnknown
		}
		return OutcomeNoConnection, semconv.OutcomeFailure
	case s.commands == 0 && !s.is(sawReply):
		return OutcomeUnknown, semconv.OutcomeUnknown // commands are not logged
	case s.is(sawQuit) && !s.is(cutStart):
		return OutcomeIdle, semconv.OutcomeUnknown
	case s.is(sawQuit):
		return OutcomeUnknown, semconv.OutcomeUnknown
	}
	return OutcomeClosedEarly, semconv.OutcomeFailure
}

// emit hands over the sessions that have ended.
func (d *Decoder) emit(h Handler, start, end int) {
	for i, s := range d.sess.ended {
		d.sess.ended[i] = nil
		d.ses = Session{UID: s.uid, Start: start, End: end, Attrs: d.sattr[:0]}
		d.ses.fill(s)
		d.stats.Sessions++
		h.Session(&d.ses)
		d.sattr = d.ses.Attrs[:0]
	}
	d.sess.ended = d.sess.ended[:0]
}

// fill makes the record of s.
func (r *Session) fill(s *session) {
	detail, outcome := s.outcome()
	a := r.Attrs
	str := func(key, v string) {
		if v != "" {
			a = append(a, acct.Attr{Key: key, Str: v})
		}
	}
	num := func(key string, n int64) { a = append(a, acct.Attr{Key: key, Num: n, Kind: acct.KindInt}) }
	some := func(key string, n int64) {
		if n != 0 {
			num(key, n)
		}
	}
	yes := func(key string, is bool) {
		if is {
			a = append(a, acct.Attr{Key: key, Num: 1, Kind: acct.KindBool})
		}
	}

	r.Time = s.last * 1e9
	r.Severity = Info
	if outcome == semconv.OutcomeFailure {
		r.Severity = Warn
	}
	str(semconv.PMTAOutcome, outcome)
	str(semconv.PMTASessionOutcome, detail)
	str(semconv.PMTASessionID, s.id)
	if s.conn >= 0 {
		num(semconv.PMTAConnection, s.conn)
	}
	str(semconv.NetworkProtocolName, "smtp")
	switch s.dir {
	case outbound:
		str(semconv.PMTASessionDirection, directionOutbound)
	case inbound:
		str(semconv.PMTASessionDirection, directionInbound)
	}
	if s.queue != "" {
		a = appendQueue(a, s.queue)
	}
	if s.dir == inbound {
		str(semconv.ClientAddress, s.ip)
		some(semconv.ClientPort, s.peerPort)
	} else {
		a = appendPeer(a, place{s.host, s.ip, s.peerPort})
	}
	a = appendLocal(a, place{ip: s.local, port: s.localPort})
	str(semconv.TLSProtocolName, s.tlsName)
	str(semconv.TLSProtocolVersion, s.tlsVersion)
	str(semconv.TLSCipher, s.cipher)
	if s.first != 0 {
		num(semconv.PMTATimeStarted, s.first*1e9)
		seconds := float64(max(0, s.last-s.first))
		a = append(a, acct.Attr{Key: semconv.PMTASessionDuration, Num: int64(math.Float64bits(seconds)), Kind: acct.KindDouble})
	}
	num(semconv.PMTASessionLines, s.lines)
	if s.commands > 0 || s.is(sawReply) {
		num(semconv.PMTASessionCommands, s.commands)
		num(semconv.PMTASessionMessages, s.messages)
		num(semconv.PMTASessionMessagesRejected, s.messagesRejected)
		num(semconv.PMTASessionRecipientsAccepted, s.recipients)
		num(semconv.PMTASessionRecipientsRejected, s.rcptRefused)
	}
	if s.is(bytesSeen) {
		num(semconv.PMTASessionBytesReceived, s.in)
		num(semconv.PMTASessionBytesSent, s.out)
	}
	some(semconv.PMTASessionDataBytes, s.data)
	if !s.is(manyFrom) {
		str(semconv.SMTPMailFrom, s.from)
	}
	if !s.is(manyRcpt) {
		str(semconv.SMTPRcptTo, s.rcpt)
	}
	if s.fail != "" {
		a = appendReply(a, s.fail)
	}
	str(semconv.PMTAReason, s.problem)
	str(semconv.PMTASessionTranscript, strings.TrimSuffix(string(s.transcript), "\n"))
	some(semconv.PMTASessionTranscriptOmitted, s.omitted)
	reason := s.ended
	if reason == "" && s.is(cutStart) {
		reason = noStart
	}
	yes(semconv.PMTASessionIncomplete, reason != "")
	str(semconv.PMTASessionIncompleteReason, reason)
	yes(semconv.PMTASessionAmbiguous, s.is(ambiguous))
	r.Attrs = a
	r.Text = s.summary(detail)
}

// summary describes a session in a line.
func (s *session) summary(detail string) string {
	var b strings.Builder
	switch {
	case s.queue != "":
		b.WriteString(s.queue)
	case s.dir == inbound:
		b.WriteString("inbound session")
	default:
		b.WriteString("session")
	}
	if s.host != "" || s.ip != "" {
		if s.dir == inbound {
			b.WriteString(" from ")
		} else {
			b.WriteString(" to ")
		}
		b.WriteString(s.host)
		switch {
		case s.host == "":
			b.WriteString(s.ip)
		case s.ip != "" && s.ip != s.host:
			b.WriteString(" (")
			b.WriteString(s.ip)
			b.WriteByte(')')
		}
	}
	b.WriteString(": ")
	b.WriteString(detail)
	count := func(n int64, what string) {
		if n > 0 {
			b.WriteString(", ")
			b.WriteString(strconv.FormatInt(n, 10))
			b.WriteString(what)
			if n != 1 {
				b.WriteByte('s')
			}
		}
	}
	count(s.messages, " message")
	count(s.recipients, " recipient")
	if s.rcptRefused > 0 {
		b.WriteString(", ")
		b.WriteString(strconv.FormatInt(s.rcptRefused, 10))
		b.WriteString(" refused")
	}
	switch {
	case s.fail != "" && detail != OutcomeDelivered:
		b.WriteString(": ")
		b.WriteString(s.fail)
	case s.problem != "" && s.messages == 0:
		b.WriteString(": ")
		b.WriteString(s.problem)
	}
	return b.String()
}
