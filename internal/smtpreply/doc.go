// Package smtpreply says what an SMTP reply means: category, who must act,
// whether the address is bad, provider, template. It knows nothing of the
// Collector and makes no network call.
//
// The path of one reply: the leading codes are parsed, the text is masked in
// one pass into a template (addresses, hosts, ids and times go, provider
// codes stay), and the template is looked up in a bounded cache. Only a miss
// runs the engine: an Aho-Corasick automaton finds the literals of all rules
// at once, the rules they belong to are verified, and the highest score wins.
//
// Rules, providers and blocklists are data: rules.yaml, providers.yaml and
// blocklists.yaml. The scores follow from how far each kind of evidence can
// be trusted: a provider's private code before a telling phrase, a phrase
// before a specific enhanced status code (RFC 3463), that before a vague
// phrase, and the reply code (RFC 5321) last.
package smtpreply
