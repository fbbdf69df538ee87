package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// StoppageKind is what is wrong with the server itself.
type StoppageKind uint8

// The kinds of stoppages.
const (
	CrashStop   StoppageKind = iota // abnormal end and a new start after Length
	FailedStart                     // stopped if it ran; a start fails, the next one after Length goes well
	FullDisk                        // no mail is taken for Length, what is queued is still delivered
	ConfigRead                      // the configuration is read again; Length is 0
)

// Stoppage is an incident in the server itself. It has no opinion about attempts: while the server is down, nothing
// happens at all, and what was due happens soon after it is up again.
type Stoppage struct {
	Kind   StoppageKind
	Begin  time.Duration // since the world's start
	Length time.Duration
	Signal int    // CrashStop: the signal; 0 = an exception
	Line   int    // FailedStart, ConfigRead: line of the error in the configuration; 0 = none
	Cause  string // FailedStart: "config" or "licence"
}

// Verdict implements [Incident].
func (s *Stoppage) Verdict(time.Duration, *Message, *Attempt, *Rand) (Verdict, bool) {
	return Verdict{}, false
}

// down reports whether the server does nothing at all meanwhile.
func (s *Stoppage) down() bool { return s.Kind == CrashStop || s.Kind == FailedStart }

// downAtStart reports whether a scenario begins with a start that fails.
func (s *Scenario) downAtStart() bool {
	for _, i := range s.Incidents {
		if st, ok := i.(*Stoppage); ok && st.Kind == FailedStart && st.Begin == 0 {
			return true
		}
	}
	return false
}

type notice struct {
	due  time.Duration
	kind NoticeKind
	stop *Stoppage
}

// plan takes the stoppages out of the scenario.
func (w *World) plan() error {
	for _, i := range w.opt.Scenario.Incidents {
		s, ok := i.(*Stoppage)
		if !ok {
			continue
		}
		if s.Begin < 0 || s.Length < 0 {
			return fmt.Errorf("incident: beginning %s and length %s must not be negative", s.Begin, s.Length)
		}
		w.stops = append(w.stops, s)
	}
	slices.SortStableFunc(w.stops, func(a, b *Stoppage) int { return int(max(min(a.Begin-b.Begin, 1), -1)) })
	end := time.Duration(-1)
	for _, s := range w.stops {
		if s.Begin < end {
			return fmt.Errorf("incident: the one that begins after %s begins before another one ends: move one of them", s.Begin)
		}
		end = max(end, s.Begin+s.Length)
		add := func(after time.Duration, k NoticeKind) {
			w.notices = append(w.notices, notice{s.Begin + after, k, s})
		}
		switch s.Kind {
		case CrashStop:
			add(0, Crashed)
			add(s.Length, Started)
		case FailedStart:
			if s.Begin > 0 {
				add(0, Stopped)
			}
			add(0, StartFailed)
			add(s.Length, Started)
		case FullDisk:
			add(0, DiskIsFull)
			add(s.Length, DiskHasRoom)
		case ConfigRead:
			add(0, Reloaded)
		}
	}
	return nil
}

// incidentSpec is one name that ParseIncident knows.
type incidentSpec struct {
	name   string
	length time.Duration // unless given; 0 = to the end
	keys   string        // separated by blanks
	about  string
	build  func(begin, length time.Duration, arg map[string]string) (Incident, error)
}

var incidentSpecs = []incidentSpec{
	{"throttle", 0, "provider share", "a provider (default gmail) defers a share (default 1) of the attempts with the reply for too much mail", buildThrottle},
	{"block", 0, "vmta source_ip provider share", "providers (default all) refuse everything from a vMTA or a source IP, one of which is required", buildBlock},
	{"dns", 0, "provider domain share", "the mail hosts of a provider or a domain (default all) cannot be looked up", buildDNS},
	{"crash", 20 * time.Second, "signal", "the server ends abnormally, with an exception or by signal=N, and is started again after LENGTH", buildCrash},
	{"disk_full", 5 * time.Minute, "", "the spool is full: no mail is taken", buildDiskFull},
	{"startup_failure", 30 * time.Second, "line cause", "a start fails, because of line=N (default 44) of the configuration or with cause=licence; the next one after LENGTH goes well; needs --startup-error", buildFailedStart},
	{"reload", 0, "line", "the configuration is read again; with line=N there is an error in it", buildReload},
}

// IncidentHelp describes the names that [ParseIncident] knows, one a line.
func IncidentHelp() string {
	var b strings.Builder
	for _, s := range incidentSpecs {
		fmt.Fprintf(&b, "  %-16s %s", s.name, s.about)
		if s.keys != "" {
			fmt.Fprintf(&b, " (keys: %s)", strings.ReplaceAll(s.keys, " ", ", "))
		}
		if s.length > 0 {
			fmt.Fprintf(&b, " (LENGTH %s)", s.length)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// ParseIncident reads NAME[@BEGIN[+LENGTH]][:key=value,...], such as "throttle@10m+1h:provider=gmail,share=0.8". BEGIN
// counts from the start of the run and is 0 by default; LENGTH is by default as [IncidentHelp] says, or to the end.
func ParseIncident(s string) (Incident, error) {
	fail := func(format string, args ...any) (Incident, error) {
		return nil, fmt.Errorf("incident %q: %s", s, fmt.Sprintf(format, args...))
	}
	head, list, hasList := strings.Cut(s, ":")
	name, when, hasWhen := strings.Cut(head, "@")
	i := slices.IndexFunc(incidentSpecs, func(k incidentSpec) bool { return k.name == name })
	if i < 0 {
		var names []string
		for _, k := range incidentSpecs {
			names = append(names, k.name)
		}
		return fail("unknown name: use one of %s", strings.Join(names, ", "))
	}
	spec := incidentSpecs[i]
	var begin time.Duration
	length := spec.length
	if hasWhen {
		from, lasting, ok := strings.Cut(when, "+")
		var err error
		if begin, err = time.ParseDuration(from); err != nil || begin < 0 {
			return fail("%q is no beginning: write a time such as 90s or 10m", from)
		}
		if ok {
			if length, err = time.ParseDuration(lasting); err != nil || length <= 0 {
				return fail("%q is no length: write a time such as 90s or 10m", lasting)
			}
		}
	}
	arg := map[string]string{}
	if hasList {
		keys := strings.Fields(spec.keys)
		for _, one := range strings.Split(list, ",") {
			key, value, ok := strings.Cut(one, "=")
			if !slices.Contains(keys, key) {
				if len(keys) == 0 {
					return fail("%s has no keys", name)
				}
				return fail("unknown key %q: use %s", key, strings.Join(keys, ", "))
			}
			if _, twice := arg[key]; !ok || value == "" || twice {
				return fail("write each key once, as key=value")
			}
			arg[key] = value
		}
	}
	inc, err := spec.build(begin, length, arg)
	if err != nil {
		return fail("%v", err)
	}
	return inc, nil
}

// window makes the incident for attempts, checking the keys that choose them.
func window(begin, length time.Duration, arg map[string]string) (*Window, error) {
	w := &Window{Begin: begin, Share: 1}
	if length > 0 {
		w.End = begin + length
	}
	if s := arg["share"]; s != "" {
		share, err := strconv.ParseFloat(s, 64)
		if err != nil || !(share > 0 && share <= 1) {
			return nil, fmt.Errorf("share=%s is not between 0 and 1", s)
		}
		w.Share = share
	}
	if w.Provider = arg["provider"]; w.Provider != "" && findProvider(w.Provider) == nil {
		var names []string
		for i := range providerSpecs {
			names = append(names, providerSpecs[i].name)
		}
		return nil, fmt.Errorf("unknown provider %q: use one of %s", w.Provider, strings.Join(names, ", "))
	}
	w.Domain, w.VMTA, w.SourceIP = arg["domain"], arg["vmta"], arg["source_ip"]
	if w.VMTA != "" || w.SourceIP != "" {
		known := false
		for _, v := range buildVMTAs() {
			known = known || (w.VMTA == "" || w.VMTA == v.Name) && (w.SourceIP == "" || w.SourceIP == v.IPv4 || w.SourceIP == v.IPv6)
		}
		if !known {
			return nil, fmt.Errorf("there is no vMTA %s%s: vMTAs are such as %s with %s", w.VMTA, w.SourceIP, buildVMTAs()[0].Name, buildVMTAs()[0].IPv4)
		}
	}
	return w, nil
}

func findProvider(name string) *providerSpec {
	for i := range providerSpecs {
		if providerSpecs[i].name == name {
			return &providerSpecs[i].providerSpec
		}
	}
	return nil
}

// usual returns the first of a provider's replies that is about the sender's IP, or the general one.
func usual(list []replySpec, general string) (*Reply, error) {
	for _, r := range list {
		if (r.category == spam || r.category == policy) && (strings.Contains(r.text, "{ip}") || strings.Contains(r.text, "{net24}")) {
			return NewReply(r.text, r.status, r.category)
		}
	}
	return NewReply(general, "", spam)
}

func buildThrottle(begin, length time.Duration, arg map[string]string) (Incident, error) {
	if arg["provider"] == "" {
		arg["provider"] = "gmail"
	}
	w, err := window(begin, length, arg)
	if err != nil {
		return nil, err
	}
	w.Then.Outcome = Deferred
	w.Then.Reply, err = usual(findProvider(w.Provider).soft, "421 4.7.0 Too many messages from {ip}, slow down")
	return w, err
}

func buildBlock(begin, length time.Duration, arg map[string]string) (Incident, error) {
	if arg["vmta"] == "" && arg["source_ip"] == "" {
		return nil, fmt.Errorf("it needs vmta=NAME or source_ip=IP")
	}
	w, err := window(begin, length, arg)
	if err != nil {
		return nil, err
	}
	var list []replySpec
	if p := findProvider(w.Provider); p != nil {
		list = p.hard
	}
	w.Then.Outcome = Rejected
	w.Then.Reply, err = usual(list, "554 5.7.1 Service unavailable; Client host [{ip}] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/{ip}")
	return w, err
}

func buildDNS(begin, length time.Duration, arg map[string]string) (Incident, error) {
	w, err := window(begin, length, arg)
	if err != nil {
		return nil, err
	}
	w.Then.Outcome = Unconnected
	if w.Then.Reply, err = NewReply("", "4.4.3", routing); err == nil {
		w.Then.Reply.noHost = true
	}
	return w, err
}

func number(arg map[string]string, key string, otherwise, most int) (int, error) {
	if arg[key] == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(arg[key])
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s=%s is not a number from 1 to %d", key, arg[key], most)
	}
	return n, nil
}

func buildCrash(begin, length time.Duration, arg map[string]string) (Incident, error) {
	sig, err := number(arg, "signal", 0, 64)
	return &Stoppage{Kind: CrashStop, Begin: begin, Length: length, Signal: sig}, err
}

func buildDiskFull(begin, length time.Duration, _ map[string]string) (Incident, error) {
	return &Stoppage{Kind: FullDisk, Begin: begin, Length: length}, nil
}

func buildFailedStart(begin, length time.Duration, arg map[string]string) (Incident, error) {
	line, err := number(arg, "line", 44, 1_000_000)
	if err != nil {
		return nil, err
	}
	switch arg["cause"] {
	case "":
		arg["cause"] = "config"
	case "config", "licence":
	default:
		return nil, fmt.Errorf("cause=%s: use config or licence", arg["cause"])
	}
	return &Stoppage{Kind: FailedStart, Begin: begin, Length: length, Line: line, Cause: arg["cause"]}, nil
}

func buildReload(begin, length time.Duration, arg map[string]string) (Incident, error) {
	if length > 0 {
		return nil, fmt.Errorf("it has no length")
	}
	line, err := number(arg, "line", 0, 1_000_000)
	return &Stoppage{Kind: ConfigRead, Begin: begin, Line: line}, err
}
