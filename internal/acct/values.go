package acct

import (
	"strings"
	"unicode/utf8"

	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// domainOf returns the domain of a mail address: what stands behind the last
// @, in lower case, without brackets and trailing dots; "" without one.
func (d *Decoder) domainOf(addr string) string {
	i := strings.IndexByte(addr, '@')
	if i < 0 {
		return ""
	}
	dom := addr[i+1:]
	for {
		if i = strings.IndexByte(dom, '@'); i < 0 {
			break
		}
		dom = dom[i+1:]
	}
	if dom == "" {
		return ""
	}
	plain := dom[0] != '['
	for i := 0; i < len(dom); i++ {
		if !domainByte[dom[i]] {
			plain = false
			break
		}
	}
	if plain && dom[len(dom)-1] != '.' {
		return dom
	}
	dom = strings.TrimRight(strings.TrimLeft(dom, "[< "), ".]> ")
	return d.lower(dom)
}

// domainByte holds the bytes that need no change in a domain.
var domainByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
	}
	return t
}()

// lower returns s in lower case. Results are kept, so that the few domains
// that one reads again and again cost no allocation.
func (d *Decoder) lower(s string) string {
	if l, ok := d.lowered[s]; ok {
		return l
	}
	l := strings.ToLower(s)
	if l == s {
		return s
	}
	if d.lowered == nil || len(d.lowered) >= 1024 {
		d.lowered = make(map[string]string, 64)
	}
	// The key must not keep a whole chunk of input alive.
	l = strings.Clone(l)
	d.lowered[strings.Clone(s)] = l
	return l
}

// enhanced returns the length of the enhanced status code (RFC 3463) at the
// beginning of s, 0 if there is none. "5.7.10" is taken whole; "4.16.55.1",
// "10.5.1.20" and "7.7.1" are none.
func enhanced(s string) int {
	if len(s) < 5 || s[1] != '.' || s[0] != '2' && s[0] != '4' && s[0] != '5' {
		return 0
	}
	i := 2
	for part := 0; ; part++ {
		j := i
		for i < len(s) && i-j < 4 && s[i]-'0' <= 9 {
			i++
		}
		if i == j || i-j > 3 {
			return 0
		}
		if part == 1 {
			break
		}
		if i == len(s) || s[i] != '.' {
			return 0
		}
		i++
	}
	if i < len(s) {
		c := s[i]
		if isAlnum(c) || c == '_' || c == '@' || c == '/' || c >= 0x80 {
			return 0
		}
		if c == '.' && i+1 < len(s) && s[i+1] != ' ' {
			return 0
		}
	}
	return i
}

// status splits "5.1.1 (text)" into code and text. Without a code everything
// is text.
func status(s string) (code, text string) {
	n := enhanced(s)
	if n == 0 {
		return "", s
	}
	code = s[:n]
	text = strings.TrimLeft(s[n:], " ")
	if len(text) >= 2 && text[0] == '(' && text[len(text)-1] == ')' {
		text = text[1 : len(text)-1]
	}
	return code, text
}

// reply is what an SMTP server said.
type reply struct {
	code     int64  // 0 without
	enhanced string // "" without
	text     string
}

// parseReply takes a reply to pieces: "550 5.1.1 no such user",
// "550-5.7.1 …", "550 550 5.1.1 …", "550 #5.1.0 …", "550 sorry (#5.1.1)".
func parseReply(s string) (r reply) {
	s = trimSpaces(s)
	n := replyCode(s)
	if n > 0 {
		r.code = int64(n)
		code := s[:3]
		s = s[3:]
		if s != "" && s[0] == '-' {
			s = s[1:]
		}
		s = trimSpaces(s)
		for replyCode(s) == n && s[:3] == code {
			s = s[3:]
			if s != "" && s[0] == '-' {
				s = s[1:]
			}
			s = trimSpaces(s)
		}
	}
	t := s
	if t != "" && t[0] == '#' {
		t = t[1:]
	}
	if k := enhanced(t); k > 0 {
		r.enhanced = t[:k]
		s = trimSpaces(strings.TrimPrefix(t[k:], ":"))
	} else if k := len(s); n > 0 && k > 0 && s[k-1] == ')' {
		// qmail and its kin put it at the end.
		if j := strings.LastIndexByte(s, '('); j >= 0 && j+1 < k && s[j+1] == '#' {
			if in := s[j+2 : k-1]; enhanced(in) == len(in) && in != "" {
				r.enhanced = in
			}
		}
	}
	r.text = s
	return r
}

// replyCode returns the reply code at the beginning of s, 0 if there is none.
func replyCode(s string) int {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || s[1]-'0' > 9 || s[2]-'0' > 9 {
		return 0
	}
	if len(s) > 3 && (isAlnum(s[3]) || s[3] == '.' || s[3] == '/' || s[3] >= 0x80) {
		return 0
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}

func trimSpaces(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t' || s[0] == '\r' || s[0] == '\n') {
		s = s[1:]
	}
	return s
}

// diag is a dsnDiag, taken to pieces.
type diag struct {
	kind   string // one of semconv.DiagType*
	action string
	reply  reply
}

func parseDiag(s string) (g diag) {
	i := strings.IndexByte(s, ';')
	switch {
	case i == 4 && (s[:4] == "smtp" || strings.EqualFold(s[:4], "smtp")):
		g.kind = semconv.DiagTypeSMTP
		g.reply = parseReply(s[5:])
		return g
	case i == 6 && (s[:6] == "x-pmta" || strings.EqualFold(s[:6], "x-pmta")):
		g.kind = semconv.DiagTypePMTA
		rest := trimSpaces(s[7:])
		g.action = rest
		if j := strings.IndexByte(rest, ';'); j >= 0 {
			g.action = rest[:j]
			rest = trimSpaces(rest[j+1:])
			if len(rest) >= 6 && strings.EqualFold(rest[:6], "reply:") {
				g.reply = parseReply(rest[6:])
			} else {
				g.action = trimSpaces(s[7:])
			}
		}
		return g
	}
	g.kind = semconv.DiagTypeOther
	if i >= 0 && i < 32 && strings.IndexByte(s[:i], ' ') < 0 {
		s = s[i+1:]
	}
	if r := parseReply(s); r.code != 0 {
		g.reply = r
	}
	return g
}

// hostIP splits "host (ip)". Either may be missing; brackets around either
// are dropped. ok is false if what stands in the parentheses is no address;
// host is then what stands before them.
func hostIP(s string) (host, ip string, ok bool) {
	ok = true
	host = s
	if n := len(s); n > 0 && s[n-1] == ')' {
		j := n - 2
		for j >= 0 && s[j] != '(' {
			j--
		}
		if j >= 0 {
			host = s[:j]
			for host != "" && host[len(host)-1] == ' ' {
				host = host[:len(host)-1]
			}
			ip = bareIP(s[j+1 : n-1])
			ok = ip != "" || j+1 == n-1
		}
	}
	if host != "" && (host[0] == '[' || ip == "" && ok) {
		if h := bareIP(host); h != "" {
			host = h
			if ip == "" && ok {
				ip = h
			}
		}
	}
	return host, ip, ok
}

// bareIP returns s without brackets and the "IPv6:" tag if the rest has the
// shape of an IP address, else "".
func bareIP(s string) string {
	if n := len(s); n > 1 && s[0] == '[' && s[n-1] == ']' {
		s = s[1 : n-1]
		if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
			s = s[5:]
		}
	}
	dots, colons := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			dots++
		case c == ':':
			colons++
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			if colons == 0 && !strings.Contains(s, ":") {
				return ""
			}
		case c == '%' && colons >= 2:
			i = len(s)
		default:
			return ""
		}
	}
	if dots == 3 || colons >= 2 {
		return s
	}
	return ""
}

// mailbox returns the first address in a From or Reply-To header and whether
// the header is that address and nothing else.
func mailbox(s string) (addr string, only bool) {
	quoted, depth := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '<' && depth == 0:
			j := strings.IndexByte(s[i:], '>')
			if j < 0 {
				return "", false
			}
			addr = strings.TrimSpace(s[i+1 : i+j])
			if strings.IndexByte(addr, '@') < 0 {
				return "", false
			}
			return addr, i == 0 && j == len(s)-1
		}
	}
	at := strings.IndexByte(s, '@')
	if at < 0 {
		return "", false
	}
	const stop = " \t\r\n,;()\""
	from := strings.LastIndexAny(s[:at], stop) + 1
	to := len(s)
	if j := strings.IndexAny(s[at:], stop); j >= 0 {
		to = at + j
	}
	if from == at || to == at+1 {
		return "", false
	}
	return s[from:to], from == 0 && to == len(s)
}

// sanitize writes NUL and what is not UTF-8 as \xNN.
func sanitize(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	b.Grow(len(s) + 16)
	last := 0
	for i := 0; i < len(s); {
		n, bad := 1, false
		if c := s[i]; c == 0 {
			bad = true
		} else if c >= 0x80 {
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			bad = r == utf8.RuneError && n == 1
		}
		if bad {
			b.WriteString(s[last:i])
			b.WriteString(`\x`)
			b.WriteByte(hex[s[i]>>4])
			b.WriteByte(hex[s[i]&15])
			last = i + 1
		}
		i += n
	}
	b.WriteString(s[last:])
	return b.String()
}
