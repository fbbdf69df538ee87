package simulate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A field renders one column of an event. Fields marked raw never need quoting.
type field struct {
	types uint16 // bit set of record types that have it
	raw   bool
	value func(dst []byte, e *Event, o *Accounting) []byte
}

const (
	tD  = 1 << Delivery
	tB  = 1 << Bounce
	tT  = 1 << Transient
	tQ  = 1 << TransientQueue
	tR  = 1 << Receipt
	tF  = 1 << Feedback
	tRB = 1 << RemoteBounce
	tRS = 1 << RemoteStatus

	tDBT     = tD | tB | tT
	tMessage = tDBT | tR | tF | tRB | tRS
	tReport  = tRB | tRS
)

func str(get func(e *Event) string) func([]byte, *Event, *Accounting) []byte {
	return func(dst []byte, e *Event, _ *Accounting) []byte { return append(dst, get(e)...) }
}

func hostIP(dst []byte, host, ip string) []byte {
	if host == "" {
		return dst
	}
	dst = append(append(dst, host...), " ("...)
	return append(append(dst, ip...), ')')
}

// knownFields holds every documented column by its usual spelling.
var knownFields = map[string]field{
	"type":       {tMessage | tQ, true, str(func(e *Event) string { return e.Type.String() })},
	"timeLogged": {tMessage | tQ, true, func(d []byte, e *Event, o *Accounting) []byte { return o.appendTime(d, e.At) }},
	"timeQueued": {tDBT, true, func(d []byte, e *Event, o *Accounting) []byte { return o.appendTime(d, e.Message.Queued) }},
	"timeFirstAttempt": {tDBT, true, func(d []byte, e *Event, o *Accounting) []byte {
		if e.Message.First.IsZero() {
			return d
		}
		return o.appendTime(d, e.Message.First)
	}},
	"timeImprinted": {tDBT, true, func(d []byte, _ *Event, _ *Accounting) []byte { return d }},
	"totalSecondsQueued": {tDBT, true, func(d []byte, e *Event, _ *Accounting) []byte {
		return strconv.AppendInt(d, e.At.Unix()-e.Message.Queued.Unix(), 10)
	}},
	"orig": {tMessage, false, str(func(e *Event) string { return e.Message.Orig })},
	"rcpt": {tMessage, false, str(func(e *Event) string {
		if e.Report != nil && e.Report.HideRecipient {
			return ""
		}
		return e.Message.Rcpt
	})},
	"orcpt": {tMessage &^ tF, false, str(func(e *Event) string { return e.Message.Orcpt })},
	"dsnAction": {tDBT | tRS, true, str(func(e *Event) string {
		if e.Report != nil {
			return e.Report.Action
		}
		return e.Attempt.Action
	})},
	"dsnStatus": {tDBT | tQ | tReport, false, str(func(e *Event) string {
		if e.Report != nil {
			return e.Report.Status
		}
		return e.Attempt.Status
	})},
	"dsnDiag": {tDBT | tQ | tReport, false, str(func(e *Event) string {
		if e.Report != nil {
			return e.Report.Diag
		}
		return e.Attempt.Diag
	})},
	"dsnMta": {tDBT | tQ | tReport, true, func(d []byte, e *Event, _ *Accounting) []byte {
		if e.Report != nil {
			return append(d, e.Report.MTA...)
		}
		return hostIP(d, e.Attempt.Host, e.Attempt.RemoteIP)
	}},
	"dsnReportingMta": {tRB, true, str(func(e *Event) string { return e.Report.ReportingMTA })},
	"bounceCat": {tDBT | tReport, true, str(func(e *Event) string {
		if e.Report != nil {
			return e.Report.Category
		}
		return e.Attempt.Category
	})},
	"srcType": {tDBT | tR | tReport, true, str(func(e *Event) string {
		if e.Report != nil {
			return "smtp"
		}
		return e.Message.SrcType
	})},
	"srcMta": {tDBT | tR | tReport, true, str(func(e *Event) string {
		if e.Report != nil {
			return e.Report.SrcMTA
		}
		return e.Message.SrcMTA
	})},
	"dlvType": {tDBT | tQ, true, str(func(*Event) string { return "smtp" })},
	"dlvSourceIp": {tDBT | tQ | tF, true, str(func(e *Event) string {
		if e.Report != nil {
			return e.Report.OriginalIP
		}
		return e.Attempt.SourceIP
	})},
	"dlvDestinationIp":  {tDBT | tQ, true, str(func(e *Event) string { return e.Attempt.RemoteIP })},
	"dlvEsmtpAvailable": {tDBT, false, str(func(e *Event) string { return e.Attempt.ESMTP })},
	"dlvSize": {tDBT, true, func(d []byte, e *Event, _ *Accounting) []byte {
		if e.Type != Delivery { // empty in b and t
			return d
		}
		return strconv.AppendInt(d, int64(e.Message.Size), 10)
	}},
	"dlvTlsProtocol": {tDBT, true, str(func(e *Event) string { return e.Attempt.TLSProtocol })},
	"dlvTlsCipher":   {tDBT, true, str(func(e *Event) string { return e.Attempt.TLSCipher })},
	"vmta": {tDBT | tQ | tR, true, str(func(e *Event) string {
		if e.Type == Receipt { // injected to a pool, so r holds its name
			return e.Message.Pool
		}
		return e.Attempt.VMTA.Name
	})},
	"vmtaPool":         {tDBT | tR, true, str(func(e *Event) string { return e.Message.Pool })},
	"jobId":            {tDBT | tR, true, str(func(e *Event) string { return e.Message.JobID })},
	"envId":            {tDBT | tR | tReport | tF, true, str(func(e *Event) string { return e.Message.EnvID })},
	"queue":            {tDBT | tQ, true, str(func(e *Event) string { return e.Attempt.Queue })},
	"rcvSourceIp":      {tR, true, str(func(e *Event) string { return e.Message.ClientIP })},
	"rcvDestinationIp": {tR, true, str(func(e *Event) string { return e.Message.LocalIP })},
	"rcvSmtpUser":      {tDBT | tR, true, str(func(e *Event) string { return e.Message.User })},
	"userString":       {tDBT | tQ | tR, false, func(d []byte, _ *Event, o *Accounting) []byte { return append(d, o.cfg.UserString...) }},
	"format":           {tReport | tF, true, str(func(e *Event) string { return e.Report.Format })},
	"repSourceIp":      {tF, true, str(func(e *Event) string { return e.Report.LocalIP })},
	"feedbackType":     {tF, true, str(func(e *Event) string { return e.Report.FeedbackType })},
	"userAgent":        {tF, false, str(func(e *Event) string { return e.Report.UserAgent })},
	"reportingMta":     {tF, true, str(func(e *Event) string { return e.Report.ReportingMTA })},
	"reportedDomain":   {tF, true, str(func(e *Event) string { return e.Report.Domain })},
}

// lowerFields finds a field's usual spelling.
var lowerFields = func() map[string]string {
	m := map[string]string{}
	for name := range knownFields {
		m[strings.ToLower(name)] = name
	}
	return m
}()

// defaultFields is what "*" stands for, in the order of real files.
var defaultFields = [numTypes]string{
	Delivery:       defaultDBT,
	Bounce:         defaultDBT,
	Transient:      defaultDBT,
	TransientQueue: "type,timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta,queue",
	Receipt:        "type,timeLogged,orig,rcpt,orcpt,srcType,srcMta,rcvSourceIp,rcvDestinationIp,vmta,jobId,envId,vmtaPool",
	Feedback:       "type,timeLogged,format,userAgent,envId,orig,rcpt,reportingMta,dlvSourceIp,repSourceIp,feedbackType,reportedDomain,header_From,header_Return-Path,header_X-job,header_Subject",
	RemoteBounce:   "type,timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,dsnMta,dsnReportingMta,bounceCat,srcType,srcMta,envId,format",
	RemoteStatus:   "type,timeLogged,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,envId,format",
}

const defaultDBT = "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta," +
	"dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool"

// ExpandFields turns the list of one record-fields directive into column names. Items are column names, "*" for the
// default columns that are not in the list yet, "!name" to leave one out, header_NAME and, for Feedback, arf_NAME, which
// keep their spelling. "type" is always first. An empty list is "*". Unknown names and names that the record type does
// not have are errors.
func ExpandFields(t Type, list []string) ([]string, error) {
	if len(list) == 0 {
		list = []string{"*"}
	}
	out := []string{"type"}
	add := func(name string) {
		for _, have := range out {
			if strings.EqualFold(have, name) {
				return
			}
		}
		out = append(out, name)
	}
	drop := map[string]bool{}
	for _, item := range list {
		item = strings.TrimSpace(item)
		if name, ok := strings.CutPrefix(item, "!"); ok {
			if strings.EqualFold(name, "type") {
				return nil, errors.New("record-fields: type cannot be left out")
			}
			if _, _, err := lookup(t, name); err != nil {
				return nil, err
			}
			drop[strings.ToLower(name)] = true
			continue
		}
		if item == "*" {
			for _, name := range strings.Split(defaultFields[t], ",") {
				add(name)
			}
			continue
		}
		name, _, err := lookup(t, item)
		if err != nil {
			return nil, err
		}
		add(name)
	}
	kept := out[:0]
	for _, name := range out {
		if !drop[strings.ToLower(name)] {
			kept = append(kept, name)
		}
	}
	return kept, nil
}

// lookup returns the column's spelling and how to render it.
func lookup(t Type, name string) (string, field, error) {
	lower := strings.ToLower(name)
	if h, ok := strings.CutPrefix(lower, "header_"); ok && h != "" {
		if t == TransientQueue {
			return "", field{}, fmt.Errorf("record-fields tq: %s: a queue has no header", name)
		}
		return name, field{value: func(d []byte, e *Event, _ *Accounting) []byte {
			return e.Message.appendHeader(d, h)
		}}, nil
	}
	if a, ok := strings.CutPrefix(lower, "arf_"); ok && a != "" {
		if t != Feedback {
			return "", field{}, fmt.Errorf("record-fields %s: %s: only f has fields of a feedback report", t, name)
		}
		return name, field{value: func(d []byte, e *Event, _ *Accounting) []byte { return appendARF(d, e, a) }}, nil
	}
	usual, ok := lowerFields[lower]
	if !ok {
		return "", field{}, fmt.Errorf("record-fields %s: unknown field %q", t, name)
	}
	f := knownFields[usual]
	if f.types&(1<<t) == 0 {
		return "", field{}, fmt.Errorf("record-fields %s: records of this type have no field %q", t, usual)
	}
	return usual, f, nil
}

// appendHeader renders a header of the message; lower is its name in lower case. Headers the message does not have are
// empty.
func (m *Message) appendHeader(d []byte, lower string) []byte {
	switch lower {
	case "from":
		return append(d, m.sender.fromLine...)
	case "to":
		return append(append(append(d, '<'), m.Rcpt...), '>')
	case "subject":
		return m.appendSubject(d)
	case "message-id":
		d = append(d, '<')
		d = strconv.AppendUint(d, m.ID*0x9e3779b97f4a7c15, 36)
		d = append(d, '.')
		d = strconv.AppendInt(d, m.Queued.Unix(), 10)
		return append(append(append(d, '@'), m.sender.domain...), '>')
	case "return-path":
		return append(append(append(d, '<'), m.Orig...), '>')
	case "date":
		return m.Queued.AppendFormat(d, time.RFC1123Z)
	case "x-job":
		return append(d, m.JobID...)
	case "x-envid":
		return append(d, m.EnvID...)
	case "x-stream":
		return append(d, m.Stream...)
	case "x-campaign":
		return append(d, m.camp.job...)
	case "list-id":
		if m.Stream == "transactional" {
			return d
		}
		return append(append(append(d, '<'), m.sender.domain...), '>')
	case "x-hmxmroriginalrecipient":
		return append(d, m.Rcpt...)
	}
	return d
}

func (m *Message) appendSubject(d []byte) []byte {
	s := m.camp.subject
	if s == "" {
		s = m.sender.subjects[m.ID%uint64(len(m.sender.subjects))]
	}
	before, after, ok := strings.Cut(s, "{n}")
	d = append(d, before...)
	if ok {
		d = strconv.AppendUint(d, 100000+m.ID*0x9e3779b1%900000, 10)
		d = append(d, after...)
	}
	return d
}

func appendARF(d []byte, e *Event, lower string) []byte {
	r := e.Report
	switch lower {
	case "version":
		return append(d, '1')
	case "feedback-type":
		return append(d, r.FeedbackType...)
	case "user-agent":
		return append(d, r.UserAgent...)
	case "source-ip":
		return append(d, r.OriginalIP...)
	case "reported-domain":
		return append(d, r.Domain...)
	case "reporting-mta":
		return append(append(d, "dns; "...), r.ReportingMTA...)
	case "arrival-date":
		return e.Message.Queued.AppendFormat(d, time.RFC1123Z)
	case "original-mail-from":
		return append(append(append(d, '<'), e.Message.Orig...), '>')
	case "original-rcpt-to":
		if r.HideRecipient {
			return d
		}
		return append(append(append(d, '<'), e.Message.Rcpt...), '>')
	}
	return d
}
