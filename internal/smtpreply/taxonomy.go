package smtpreply

import "fmt"

// Category is what a reply means: one of the 30 values below.
type Category uint8

// The categories.
const (
	Unclassified Category = iota
	Delivered
	RecipientUnknown
	RecipientInactive
	RecipientDomainInvalid
	MailboxFull
	RecipientRestricted
	RecipientRateLimited
	RateLimited
	SessionLimit
	Greylisted
	Blocklisted
	ReputationIP
	ReputationDomain
	SpamContent
	MalwareAttachment
	MessageTooLarge
	MessageMalformed
	Authentication
	RDNSHelo
	SenderInvalid
	RelayDenied
	Policy
	DNSRouting
	Connection
	TLS
	RemoteSystemError
	ProtocolError
	MessageExpired
	Suppressed

	numCategories
)

// Values of Info.Type: what a reply says about the address.
const (
	TypeHard = "hard" // the address is bad: stop using it
	TypeSoft = "soft" // may succeed later
	TypeNone = "none" // says nothing about the address
)

// Info is what is fixed for a category.
type Info struct {
	Name  string // stable name, snake case
	Group string // coarse class for dashboards
	// Type is the type on a permanent (5xx) reply. On any other reply, and
	// on weak evidence, a hard category is soft, see [Classifier.Classify].
	Type  string
	Owner string // who must act: list_hygiene, reputation, content, authentication, infrastructure, recipient, none
	// Retry says that a later attempt may succeed even after a 5xx.
	Retry bool
	// Doc is one line for a person.
	Doc string
}

var taxonomy = [numCategories]Info{
	Unclassified:           {"unclassified", "none", TypeNone, "none", false, "no rule fits; the template is kept for review"},
	Delivered:              {"delivered", "success", TypeNone, "none", false, "accepted"},
	RecipientUnknown:       {"recipient_unknown", "recipient", TypeHard, "list_hygiene", false, "mailbox does not exist or its address is malformed"},
	RecipientInactive:      {"recipient_inactive", "recipient", TypeHard, "list_hygiene", false, "mailbox exists but is disabled, suspended, moved or abandoned"},
	RecipientDomainInvalid: {"recipient_domain_invalid", "recipient", TypeHard, "list_hygiene", false, "recipient domain does not exist or takes no mail"},
	MailboxFull:            {"mailbox_full", "recipient", TypeSoft, "recipient", true, "recipient is over quota"},
	RecipientRestricted:    {"recipient_restricted", "recipient", TypeNone, "recipient", false, "recipient or its organisation takes mail from some senders only"},
	RecipientRateLimited:   {"recipient_rate_limited", "throttle", TypeSoft, "infrastructure", true, "this mailbox receives too much"},
	RateLimited:            {"rate_limited", "throttle", TypeSoft, "infrastructure", true, "volume limit of sender, IP or domain"},
	SessionLimit:           {"session_limit", "throttle", TypeSoft, "infrastructure", true, "too many connections, recipients, messages or errors in a session"},
	Greylisted:             {"greylisted", "throttle", TypeSoft, "none", true, "first attempt is put off by design"},
	Blocklisted:            {"blocklisted", "reputation", TypeNone, "reputation", false, "IP, host name, domain or URL is on a named list"},
	ReputationIP:           {"reputation_ip", "reputation", TypeNone, "reputation", false, "receiver's own verdict on the sending IP"},
	ReputationDomain:       {"reputation_domain", "reputation", TypeNone, "reputation", false, "receiver's own verdict on the sending domain"},
	SpamContent:            {"spam_content", "content", TypeNone, "content", false, "this message was judged spam"},
	MalwareAttachment:      {"malware_attachment", "content", TypeNone, "content", false, "virus, phishing payload or forbidden attachment"},
	MessageTooLarge:        {"message_too_large", "content", TypeNone, "content", false, "message or header is larger than allowed"},
	MessageMalformed:       {"message_malformed", "content", TypeNone, "content", false, "header, MIME or line structure breaks the standard"},
	Authentication:         {"authentication", "authentication", TypeNone, "authentication", false, "SPF, DKIM, DMARC, alignment or ARC failed"},
	RDNSHelo:               {"rdns_helo", "authentication", TypeNone, "infrastructure", false, "reverse DNS or HELO name of our host is at fault"},
	SenderInvalid:          {"sender_invalid", "authentication", TypeNone, "infrastructure", false, "sender address or its domain is bad or not allowed"},
	RelayDenied:            {"relay_denied", "authentication", TypeNone, "infrastructure", false, "host does not take mail for this domain, or wants SMTP AUTH"},
	Policy:                 {"policy", "policy", TypeNone, "reputation", false, "local rule, no better cause given"},
	DNSRouting:             {"dns_routing", "network", TypeSoft, "infrastructure", true, "DNS failure, mail loop, too many hops"},
	Connection:             {"connection", "network", TypeSoft, "infrastructure", true, "refused, timed out, dropped"},
	TLS:                    {"tls", "network", TypeNone, "infrastructure", false, "STARTTLS missing or failed, certificate, DANE, MTA-STS"},
	RemoteSystemError:      {"remote_system_error", "remote", TypeSoft, "none", true, "receiver's own trouble"},
	ProtocolError:          {"protocol_error", "remote", TypeNone, "infrastructure", false, "a command or its order was refused"},
	MessageExpired:         {"message_expired", "local", TypeSoft, "none", false, "queue gave up; the last deferral is the reason"},
	Suppressed:             {"suppressed", "local", TypeNone, "none", false, "never left: suppression list or operator"},
}

var categoryByName = func() map[string]Category {
	m := make(map[string]Category, numCategories)
	for c := range taxonomy {
		m[taxonomy[c].Name] = Category(c)
	}
	return m
}()

// Categories returns all categories in a fixed order.
func Categories() []Category {
	out := make([]Category, numCategories)
	for i := range out {
		out[i] = Category(i)
	}
	return out
}

// ParseCategory returns the category with the given name.
func ParseCategory(name string) (Category, error) {
	c, ok := categoryByName[name]
	if !ok {
		return Unclassified, fmt.Errorf("unknown category %q", name)
	}
	return c, nil
}

// String returns the stable name of c.
func (c Category) String() string { return c.Info().Name }

// Info returns what is fixed for c.
func (c Category) Info() Info {
	if c >= numCategories {
		return taxonomy[Unclassified]
	}
	return taxonomy[c]
}

// typeFor is the type of a category on a reply of the given class (2, 4, 5 or
// 0 for none). Hard needs a permanent reply: anything else may yet succeed.
func typeFor(c Category, class uint8) string {
	t := taxonomy[c].Type
	switch {
	case t == TypeHard && class != 5:
		return TypeSoft
	case c == Unclassified && class == 4:
		return TypeSoft
	}
	return t
}

// retryableFor says whether a later attempt may succeed.
func retryableFor(c Category, class uint8) bool {
	switch {
	case c == Delivered || c == Suppressed:
		return false
	case class == 4:
		return c != MessageExpired
	}
	return taxonomy[c].Retry
}
