// Package mainlog reads PowerMTA's system log: log, pmta.log, pmtahttp.log and
// pmta-startuperr.log. It makes an Entry of each entry, says what it means by
// patterns that are data (events.yaml), and puts the entries of each SMTP
// session together into a Session. It knows nothing of the Collector. How and
// why is in design.md.
//
// Source of the format: PowerMTA v5.0 User's Guide, sections 3.3.7.61, 4.1.2,
// 6.3.23 and 11.3. It gives the lines of sessions and a few errors; the wording
// of most other entries is not documented, so that the patterns are generous
// and what none of them knows is handed over all the same.
package mainlog
