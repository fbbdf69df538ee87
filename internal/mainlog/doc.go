// Package mainlog reads PowerMTA's system log: log, pmta.log, pmtahttp.log and
// pmta-startuperr.log. It makes an Entry of each entry, says what it means by
// patterns that are data (events.yaml), and puts the entries of each SMTP
// session together into a Session. It knows nothing of the Collector.
package mainlog
