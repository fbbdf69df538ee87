package semconv

// What enrichment adds to a record.
const (
	// PMTARcptDomainUnicode is PMTARcptDomain with its IDNA U-labels, present
	// when that differs: PMTARcptDomain then holds the A-labels. String.
	// Example: "bücher.example" of "xn--bcher-kva.example".
	PMTARcptDomainUnicode = "pmta.rcpt.domain_unicode"
	// PMTAOrigDomainUnicode is the same for PMTAOrigDomain. String.
	PMTAOrigDomainUnicode = "pmta.orig.domain_unicode"
	// PMTAQueueDomainUnicode is the same for PMTAQueueDomain. String.
	PMTAQueueDomainUnicode = "pmta.queue.domain_unicode"
	// PMTAOrigBase is the envelope sender without what VERP, BATV or SRS put
	// around it, domain in lower case. String. Example: "news@example.com" of
	// "news-ann=example.net@example.com".
	PMTAOrigBase = "pmta.orig.base"
	// PMTAOrigForm names what was taken off: verp, batv, srs0 or srs1, or
	// several from the outside in. String. Example: "batv+verp".
	PMTAOrigForm = "pmta.orig.form"
	// PMTADimensionPrefix comes before the name of a label of the user's
	// dimension table. String. Example: "pmta.dimension.stream".
	PMTADimensionPrefix = "pmta.dimension."
)

// What the delivery ledger adds.
const (
	// PMTAAttempt is the number of this attempt for this recipient, from 1.
	// Int. On a bounce that no attempt led to (expiry, operator), the number
	// of the last attempt.
	PMTAAttempt = "pmta.attempt"
	// PMTAAttemptExact says that every attempt since the message was queued
	// was seen. When false, PMTAAttempt is a lower bound. Bool.
	PMTAAttemptExact = "pmta.attempt.exact"
	// PMTAFirstAttemptElapsed is the time from the first attempt to this
	// event in seconds. Double. Example: 612.
	PMTAFirstAttemptElapsed = "pmta.first_attempt.elapsed"
	// PMTALastDeferralCategory is what the last deferral before this event
	// meant: its SMTPBounceCategory, or "4xx", "5xx" or "none" by its reply
	// code when it was not classified. String. Example: "rate_limited".
	PMTALastDeferralCategory = "pmta.last_deferral.category"
)

// What attribution repair adds.
const (
	// PMTARepaired names the attributes of the record that come from an
	// earlier record of the same message. String array.
	PMTARepaired = "pmta.repaired"
	// PMTARepairMatch says what the two records had in common. String:
	// "message" (recipient, sender and time queued), "envelope" (envelope
	// id), "address" (recipient and sender), "sender" (a sender that is
	// different for each message).
	PMTARepairMatch = "pmta.repair.match"
	// PMTATimeSent is when the message that a report is about was delivered,
	// or accepted when no delivery was seen; nanoseconds since the Unix
	// epoch. Int.
	PMTATimeSent = "pmta.time_sent"
)

// PMTARedactionKeyID identifies the key that the pseudonyms in the record were
// made with. It says nothing about the key. String. Example: "5e0c1b7a".
const PMTARedactionKeyID = "pmta.redaction.key_id"
