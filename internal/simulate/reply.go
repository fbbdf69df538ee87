package simulate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Reply is a template for what a dsnDiag column says.
type Reply struct {
	status   string // dsnStatus with text
	category string // bounceCat
	diagType string // "smtp;", "x-pmta;" or empty for no diagnostic
	local    bool   // decided without a remote host
	noHost   bool   // no host was found to connect to
	parts    []part
}

type part struct {
	lit  string
	kind partKind
	n    int
}

type partKind uint8

const (
	partLit partKind = iota
	partHex
	partDigits
	partAlnum
	partUpper
	partIP
	partNet24
	partRcpt
	partLocal
	partDomain
	partFrom
	partHelo
	partMX
	partNow
	partDate
)

var partNames = map[string]partKind{
	"hex": partHex, "dig": partDigits, "an": partAlnum, "AN": partUpper, "ip": partIP, "net24": partNet24,
	"rcpt": partRcpt, "local": partLocal, "domain": partDomain, "from": partFrom, "helo": partHelo, "mx": partMX,
	"now": partNow, "date": partDate,
}

// NewReply compiles a reply. text begins with a reply code, or with "x-pmta;" for a diagnostic of PowerMTA's own, or is
// empty for none. status is an enhanced status code such as "4.7.0" for dsnStatus; if it is empty, the one at the
// beginning of text is used, or else class.0.0. category is the bounceCat.
//
// Varying parts: {ip} {net24} {helo} of the sending side, {rcpt} {local} {domain} of the recipient, {from} the sender's
// domain, {mx} the remote host, {now} Unix seconds, {date} an RFC 5322 date, {hex:N} {dig:N} {an:N} {AN:N} N random
// characters. An unknown part is an error.
func NewReply(text, status, category string) (*Reply, error) {
	r := &Reply{category: category}
	switch {
	case strings.HasPrefix(text, "x-pmta;"):
		r.diagType, text = "x-pmta;", text[len("x-pmta;"):]
	case text != "":
		if len(text) < 3 || text[0] < '2' || text[0] > '5' {
			return nil, fmt.Errorf("reply %q does not begin with a reply code", text)
		}
		r.diagType = "smtp;"
	}
	if status == "" {
		if status = enhancedOf(text); status == "" {
			if text == "" || r.diagType != "smtp;" {
				return nil, fmt.Errorf("reply %q has no status", text)
			}
			status = text[:1] + ".0.0"
		}
	}
	r.status = statusWithText(status)
	for text != "" {
		open := strings.IndexByte(text, '{')
		if open < 0 {
			r.parts = append(r.parts, part{lit: text})
			break
		}
		end := strings.IndexByte(text[open:], '}')
		if end < 0 {
			return nil, fmt.Errorf("reply %q: { without }", text)
		}
		if open > 0 {
			r.parts = append(r.parts, part{lit: text[:open]})
		}
		name, arg, hasArg := strings.Cut(text[open+1:open+end], ":")
		kind, ok := partNames[name]
		n := 0
		if hasArg {
			n, _ = strconv.Atoi(arg)
		}
		if !ok || (n > 0) != (kind <= partUpper) {
			return nil, fmt.Errorf("reply: unknown part %q", text[open:open+end+1])
		}
		r.parts = append(r.parts, part{kind: kind, n: n})
		text = text[open+end+1:]
	}
	return r, nil
}

// enhancedOf returns the enhanced status code after the reply code, or "".
func enhancedOf(text string) string {
	if len(text) < 9 || text[3] != ' ' && text[3] != '-' {
		return ""
	}
	code := text[4:]
	if i := strings.IndexByte(code, ' '); i > 0 {
		code = code[:i]
	}
	f := strings.Split(code, ".")
	if len(f) != 3 || f[0] != text[:1] {
		return ""
	}
	for _, s := range f[1:] {
		if n, err := strconv.Atoi(s); err != nil || n < 0 || n > 999 {
			return ""
		}
	}
	return code
}

// statusWithText adds the text that PowerMTA puts behind a code. The texts seen in real files are used as they are, the
// others follow the registry's subject (RFC 3463).
func statusWithText(code string) string {
	class, rest, _ := strings.Cut(code, ".")
	text := "undefined status"
	switch rest {
	case "0.0":
		if class == "2" {
			text = "success"
		}
	case "1.0":
		text = "unknown address-related status"
	case "1.1", "1.10":
		text = "bad destination mailbox address"
	case "1.2":
		text = "bad destination system: no such domain"
	case "1.5":
		text = "destination address valid"
	case "1.8":
		text = "bad sender's system address"
	case "2.0":
		text = "other or undefined mailbox status"
	case "2.1":
		text = "mailbox disabled, not accepting messages"
	case "2.2":
		text = "mailbox full"
	case "3.0":
		text = "other or undefined mail system status"
	case "3.2":
		text = "system not accepting network messages"
	case "3.4":
		text = "message too big for system"
	case "4.1":
		text = "no answer from host"
	case "4.2":
		text = "bad connection"
	case "4.3":
		text = "unable to route: dns lookup failure"
	case "4.4":
		text = "unable to route: no mail hosts for domain"
	case "4.5":
		text = "system congestion"
	case "4.7":
		text = "delivery time expired"
	case "5.0":
		text = "other or undefined protocol status"
	case "6.0":
		if class == "2" {
			text = "success"
		} else {
			text = "other or undefined media error"
		}
	case "7.0":
		text = "other or undefined security status"
	case "7.1":
		text = "delivery not authorized"
	default:
		if strings.HasPrefix(rest, "7.") {
			text = "other or undefined security status"
		}
	}
	return code + " (" + text + ")"
}

// appendTo renders the reply with its diagnostic type.
func (r *Reply) appendTo(dst []byte, at time.Time, m *Message, a *Attempt, rnd *Rand) []byte {
	dst = append(dst, r.diagType...)
	for i := range r.parts {
		p := &r.parts[i]
		switch p.kind {
		case partLit:
			dst = append(dst, p.lit...)
		case partHex:
			dst = rnd.appendHex(dst, p.n)
		case partDigits:
			dst = rnd.appendDigits(dst, p.n)
		case partAlnum:
			dst = rnd.appendFrom32(dst, alnum, p.n)
		case partUpper:
			dst = rnd.appendFrom32(dst, alnumUp, p.n)
		case partIP:
			dst = append(dst, a.SourceIP...)
		case partNet24:
			if i := strings.LastIndexByte(a.VMTA.IPv4, '.'); i > 0 {
				dst = append(append(dst, a.VMTA.IPv4[:i]...), ".0/24"...)
			}
		case partRcpt:
			if m != nil {
				dst = append(dst, m.Rcpt...)
			}
		case partLocal:
			if m != nil {
				dst = append(dst, m.Rcpt[:len(m.Rcpt)-len(m.Domain)-1]...)
			}
		case partDomain:
			dst = append(dst, a.Domain...)
		case partFrom:
			dst = append(dst, a.FromDomain...)
		case partHelo:
			dst = append(dst, a.VMTA.Helo...)
		case partMX:
			dst = append(dst, a.Host...)
		case partNow:
			dst = strconv.AppendInt(dst, at.Unix(), 10)
		case partDate:
			dst = at.UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 -0700")
		}
	}
	return dst
}
