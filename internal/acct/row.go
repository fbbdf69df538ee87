package acct

import (
	"math"
	"strconv"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

func (a *Attr) setString(key, v string) {
	a.Key, a.Str, a.Num, a.Kind = key, v, 0, KindString
}

func (a *Attr) setInt(key string, n int64) {
	a.Key, a.Str, a.Num, a.Kind = key, "", n, KindInt
}

func (a *Attr) setDouble(key string, f float64) {
	a.Key, a.Str, a.Num, a.Kind = key, "", int64(math.Float64bits(f)), KindDouble
}

func (a *Attr) setTrue(key string) {
	a.Key, a.Str, a.Num, a.Kind = key, "", 1, KindBool
}

// row makes d.rec from the fields of one record, of which base is the text.
// Type and TypeText are set already; a reason means that it is no record.
func (d *Decoder) row(p *plan, base string, sanitized bool) (Reason, string) {
	r := &d.rec
	if r.TypeText == "" {
		return ReasonEmptyType, "the type is empty"
	}
	if p.timeCol < 0 {
		return ReasonBadTime, "there is no timeLogged column"
	}
	logged := d.field(base, p.timeCol)
	t, ok := d.parseTime(logged)
	if !ok || t == 0 {
		return ReasonBadTime, "timeLogged is " + strconv.Quote(logged[:min(len(logged), 64)])
	}
	r.Time = t
	r.Diag = ""

	if len(d.attrs) < p.maxAttrs {
		d.attrs = make([]Attr, p.maxAttrs+8)
	}
	buf := d.attrs
	n := 0
	buf[n].setString(semconv.PMTARecordType, r.TypeText)
	n++
	if r.Type == TypeUnknown {
		buf[n].setTrue(semconv.PMTARecordUnknownType)
		n++
	}
	buf[n].setString(semconv.PMTAOutcome, typeTable[r.Type].outcome)
	n++

	var (
		queued      int64 // timeQueued, 0 without
		hasDuration bool
		peer, dsnIP string // addresses of the remote server by column
		vmta, pool  string
		vmtaAt      int
	)
	cols := p.cols
	st, en := d.st[:len(cols)], d.en[:len(cols)]
	for i := range cols {
		var v string
		if s, e := st[i], en[i]; s >= 0 {
			if s >= e {
				continue
			}
			v = base[s:e]
		} else if v = d.side[^s]; v == "" {
			continue
		}
		c := &cols[i]
		from := n
		switch c.op {
		case opSkip:
			continue
		case opString:
			buf[n].setString(c.key[0], v)
			n++
		case opQueued, opTime:
			ns, ok := d.parseTime(v)
			if !ok {
				buf[n].setString(c.unparsed, v)
				n++
				break
			}
			buf[n].setInt(c.key[0], ns)
			n++
			if c.op == opQueued && queued == 0 {
				queued = ns
			}
		case opInt:
			if k, ok := parseInt(v); ok {
				buf[n].setInt(c.key[0], k)
			} else {
				buf[n].setString(c.unparsed, v)
			}
			n++
		case opSeconds:
			if f, ok := parseSeconds(v); ok {
				buf[n].setDouble(c.key[0], f)
				hasDuration = true
			} else {
				buf[n].setString(c.unparsed, v)
			}
			n++
		case opAddress:
			buf[n].setString(c.key[0], v)
			n++
			if dom := d.domainOf(v); dom != "" {
				buf[n].setString(c.key[1], dom)
				n++
			}
		case opStatus:
			code, text := status(v)
			if code != "" {
				buf[n].setString(c.key[1], code)
				n++
			}
			if text != "" {
				buf[n].setString(c.key[0], text)
				n++
			}
		case opDiag:
			if r.Diag == "" {
				r.Diag = v
			}
			g := parseDiag(v)
			buf[n].setString(c.key[0], v)
			buf[n+1].setString(c.key[1], g.kind)
			n += 2
			if g.action != "" {
				buf[n].setString(c.key[2], g.action)
				n++
			}
			if g.reply.code != 0 {
				buf[n].setInt(c.key[3], g.reply.code)
				n++
			}
			if g.reply.enhanced != "" {
				buf[n].setString(c.key[4], g.reply.enhanced)
				n++
			}
			if g.reply.text != "" {
				buf[n].setString(c.key[5], g.reply.text)
				n++
			}
		case opDSNMTA:
			host, ip, ok := hostIP(v)
			if host != "" {
				buf[n].setString(c.key[0], host)
				n++
			}
			if !ok {
				buf[n].setString(c.unparsed, v)
				n++
			}
			if dsnIP == "" {
				dsnIP = ip
			}
		case opSrcMTA:
			host, ip, ok := hostIP(v)
			if host != "" {
				buf[n].setString(c.key[0], host)
				n++
			}
			if ip != "" {
				buf[n].setString(c.key[1], ip)
				n++
			}
			if !ok {
				buf[n].setString(c.unparsed, v)
				n++
			}
		case opPeer:
			if peer == "" {
				peer = v
			} else {
				buf[n].setString(c.other, v)
				n++
			}
		case opLocal:
			buf[n].setString(c.key[0], v)
			n++
			if r.Type-1 < TypeTransientQueue { // d, b, t, tq
				buf[n].setString(c.key[1], v)
				n++
			}
		case opDelivery:
			buf[n].setString(c.key[0], v)
			n++
			if v == "smtp" {
				buf[n].setString(c.key[1], "smtp")
				n++
			}
		case opList:
			if v = d.list(v); v != "" {
				buf[n] = Attr{Key: c.key[0], Str: v, Kind: KindStrings}
				n++
			}
		case opVMTA:
			if vmta == "" {
				vmta, vmtaAt = v, n
			}
			buf[n].setString(c.key[0], v)
			n++
		case opPool:
			if pool == "" {
				pool = v
			}
			buf[n].setString(c.key[0], v)
			n++
		case opQueue:
			buf[n].setString(c.key[0], v)
			n++
			j := strings.LastIndexByte(v, '/')
			if j < 0 {
				break
			}
			if name, rollup := strings.CutSuffix(v[:j], ".rollup"); name != "" {
				k := c.key[1]
				if rollup {
					k = c.key[3]
				}
				buf[n].setString(k, name)
				n++
			}
			if j+1 < len(v) {
				buf[n].setString(c.key[2], v[j+1:])
				n++
			}
		case opAngle:
			v = strings.TrimSpace(v)
			if len(v) > 2 && v[0] == '<' && v[len(v)-1] == '>' {
				v = v[1 : len(v)-1]
			}
			if v != "" {
				buf[n].setString(c.key[0], v)
				n++
			}
		case opMailbox:
			addr, only := mailbox(v)
			if addr != "" {
				buf[n].setString(c.key[1], addr)
				n++
			}
			if !only {
				buf[n].setString(c.key[0], v)
				n++
			}
		case opTLS:
			if j := strings.IndexByte(v, 'v'); j == 3 && j+1 < len(v) && v[j+1]-'0' <= 9 && (v[:3] == "TLS" || v[:3] == "SSL") {
				name := "tls"
				if v[0] == 'S' {
					name = "ssl"
				}
				buf[n].setString(c.key[0], name)
				buf[n+1].setString(c.key[1], v[j+1:])
				n += 2
			} else {
				buf[n].setString(c.unparsed, v)
				n++
			}
		}
		if c.clash && clashes(buf[:from], buf[from:n]) {
			buf[from].setString(c.other, v)
			n = from + 1
		}
	}

	if peer == "" {
		peer = dsnIP
	} else if dsnIP != "" && dsnIP != peer {
		buf[n].setString(semconv.PMTADSNMTAIP, dsnIP)
		n++
	}
	if peer != "" {
		buf[n].setString(semconv.NetworkPeerAddress, peer)
		n++
	}
	if queued != 0 && !hasDuration && t >= queued && r.Type-1 < TypeTransient { // d, b, t
		buf[n].setDouble(semconv.PMTAQueueDuration, float64(t-queued)/1e9)
		n++
	}
	if r.Type == TypeReceipt && vmta != "" && vmta == pool {
		n = vmtaAt + copy(buf[vmtaAt:], buf[vmtaAt+1:n])
	}
	if sanitized {
		buf[n].setTrue(semconv.PMTASanitized)
		n++
	}
	r.Attrs = buf[:n]
	return "", ""
}

// clashes reports whether a key of b is among those of a.
func clashes(a, b []Attr) bool {
	for i := range b {
		for j := range a {
			if a[j].Key == b[i].Key {
				return true
			}
		}
	}
	return false
}

// parseInt reads a decimal number without sign, at most 18 digits.
func parseInt(s string) (n int64, ok bool) {
	if len(s) > 18 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, true
}

func parseSeconds(s string) (float64, bool) {
	if n, ok := parseInt(s); ok {
		return float64(n), true
	}
	for i := 0; i < len(s); i++ {
		if s[i]-'0' > 9 && s[i] != '.' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && f < 1e12
}

// list returns s with empty elements and the spaces around elements removed.
// Servers offer few different lists, so the last one is remembered.
func (d *Decoder) list(s string) string {
	if s == d.listIn {
		return d.listOut
	}
	d.listIn, d.listOut = s, tidyList(s, d.format == formatJSON)
	return d.listOut
}

func tidyList(s string, mayBeArray bool) string {
	if s[0] == '[' && mayBeArray {
		s = joinJSONArray(s)
	}
	tidy := true
	last := byte(',')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c == ',' || c == ' ') && (last == ',' || last == ' ') || c == ',' && last == ' ' {
			tidy = false
			break
		}
		last = c
	}
	if tidy && last != ',' && last != ' ' {
		return s
	}
	var out []string
	for _, e := range strings.Split(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return strings.Join(out, ",")
}
