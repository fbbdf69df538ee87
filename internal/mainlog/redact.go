package mainlog

import (
	"regexp"
	"strings"
)

// removed stands for credentials.
const removed = "<removed>"

var (
	authInText = regexp.MustCompile(`(?i)\b(auth +(?:plain|login|cram-md5|digest-md5|xoauth2|xoauth|oauthbearer|ntlm|gssapi|external|scram-[a-z0-9-]+)) +[A-Za-z0-9+/=_-]{4,}`)
	credInURL  = regexp.MustCompile(`(://)[^\s/"'<>]*@`)
	// With http-log-data the web monitor may log headers, as a webhook may with
	// http-webhook-log-verbose. X-API-Key opens everything in PowerMTA.
	secretHeaders  = []string{"authorization", "x-api-key", "cookie"}
	secretInHeader = regexp.MustCompile(`(?i)\b((?:(?:proxy-)?authorization|x-api-key|(?:set-)?cookie)"?[:=][ \t]*"?)[^\s"][^\r\n"]*`)
	secretQueries  = []string{"token=", "key=", "secret=", "password=", "passwd=", "sig=", "signature="}
	secretInQuery  = regexp.MustCompile(`(?i)([?&](?:[a-z_-]*token|[a-z_-]*key|[a-z_-]*secret|password|passwd|sig|[a-z-]*signature)=)[^\s&"'<>#]+`)
)

// scrub removes credentials from the text of an entry, for which match.scan
// was just called. It reports whether there were any.
func (d *Decoder) scrub(s *string) bool {
	changed := false
	if d.match.has(d.match.set.auth) && authInText.MatchString(*s) {
		*s, changed = authInText.ReplaceAllString(*s, "$1 "+removed), true
	}
	if d.match.has(d.match.set.cred) && credInURL.MatchString(*s) {
		// As the OpenTelemetry conventions for url.full want it.
		*s, changed = credInURL.ReplaceAllString(*s, "${1}REDACTED@"), true
	}
	if d.match.one(d.match.set.header) && secretInHeader.MatchString(*s) {
		*s, changed = secretInHeader.ReplaceAllString(*s, "${1}"+removed), true
	}
	if d.match.one(d.match.set.query) && secretInQuery.MatchString(*s) {
		*s, changed = secretInQuery.ReplaceAllString(*s, "${1}REDACTED"), true
	}
	if changed {
		d.stats.Secrets++
	}
	return changed
}

// verbs are the SMTP commands, with what they are to a session.
var verbs = map[string]byte{
	"EHLO": cmdHello, "HELO": cmdHello, "LHLO": cmdHello, "STARTTLS": cmdTLS, "AUTH": cmdAuth, "MAIL": cmdMail, "RCPT": cmdRcpt,
	"DATA": cmdData, "BDAT": cmdBdat, "QUIT": cmdQuit, "RSET": cmdReset, "NOOP": cmdOther, "VRFY": cmdOther, "EXPN": cmdOther,
	"HELP": cmdOther, "ETRN": cmdOther, "TURN": cmdOther, "ATRN": cmdOther, "XCLIENT": cmdOther, "XFORWARD": cmdOther,
	"SEND": cmdOther, "SOML": cmdOther, "SAML": cmdOther, "BURL": cmdOther, "XACK": cmdOther, "XDFN": cmdOther, "XPRT": cmdOther,
	"XMRG": cmdOther, "XSTRT": cmdOther,
}

// verbOf returns what command a line is, cmdNone when it is none that is
// known.
func verbOf(line string) byte {
	n := 0
	var buf [8]byte
	for n < len(line) && n < len(buf) && isLetter(line[n]) {
		buf[n] = line[n] &^ 0x20
		n++
	}
	if n < len(line) && line[n] != ' ' && line[n] != ':' && line[n] != '\t' && line[n] != '\r' {
		return cmdNone
	}
	return verbs[string(buf[:n])]
}

// likeBase64 reports whether a line may be an answer in an AUTH exchange: one
// word of the base64 alphabet, in full groups of four.
func likeBase64(s string) bool {
	if len(s) < 4 || len(s)%4 != 0 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isLetter(c) && !isDigit(c) && c != '+' && c != '/' && (c != '=' || i < len(s)-2) {
			return false
		}
	}
	return true
}

// redactAuth returns an AUTH command without what stands behind the name of
// the mechanism. It reports whether there was something.
func redactAuth(line string) (string, bool) {
	f := strings.Fields(line)
	if len(f) < 3 {
		// Without a mechanism that looks like one, the word may be a secret.
		if len(f) == 2 && (len(f[1]) > 20 || strings.ContainsAny(f[1], "=/")) {
			return f[0] + " " + removed, true
		}
		return line, false
	}
	return f[0] + " " + f[1] + " " + removed, true
}

// dump reports whether s is a line of a hex dump: up to 32 hex digits, padded
// to that width, and up to 16 characters. n is the number of bytes in it. left
// is how many bytes of a dump are due: while there are some, every line that
// begins with hex digits is taken for one, as it may be laid out in another
// way. Otherwise the characters have to be those that the digits give.
func dump(s string, left int64) (n int, ok bool) {
	if left > 0 {
		word, _, _ := strings.Cut(s, " ")
		word = strings.TrimSuffix(word, ":")
		for i := 0; i < len(word); i++ {
			if hexValue(word[i]) < 0 {
				return 0, false
			}
		}
		return int(min(16, left)), len(word) > 1
	}
	i := 0
	for i < len(s) && i < 32 && hexValue(s[i]) >= 0 {
		i++
	}
	if i < 2 || i%2 != 0 || i < len(s) && s[i] != ' ' {
		return 0, false
	}
	n = i / 2
	text := ""
	if len(s) > i {
		if i < 32 && (len(s) < 33 || strings.Trim(s[i:32], " ") != "") {
			return 0, false
		}
		text = s[33:]
	}
	same, printable := 0, 0
	for j := range n {
		c := byte(hexValue(s[2*j])<<4 | hexValue(s[2*j+1]))
		if c < 0x20 || c >= 0x7f {
			continue
		}
		printable++
		if j < len(text) && text[j] == c {
			same++
		}
	}
	if printable == 0 {
		return n, i == 32 && strings.IndexFunc(text, func(r rune) bool { return r < 0x80 && (isLetter(byte(r)) || isDigit(byte(r))) }) < 0
	}
	return n, same*2 >= printable
}

func hexValue(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// dumpStarts returns up to 8 bytes of what a hex dump line holds.
func dumpStarts(s string) string {
	var b [8]byte
	n := 0
	for n < len(b) && 2*n+1 < len(s) && hexValue(s[2*n]) >= 0 && hexValue(s[2*n+1]) >= 0 {
		b[n] = byte(hexValue(s[2*n])<<4 | hexValue(s[2*n+1]))
		n++
	}
	return string(b[:n])
}
