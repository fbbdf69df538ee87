package semconv

// What an SMTP reply means, set by the smtp_reply processor.
const (
	// BounceCategory is what the reply means: one of 30 stable values. String.
	// Example: "mailbox_full".
	BounceCategory = "smtp.bounce.category"
	// BounceGroup is the coarse class of the category. String. Example:
	// "throttle".
	BounceGroup = "smtp.bounce.group"
	// BounceType is what the reply says about the address: hard (stop using
	// it), soft (may succeed later) or none. String.
	BounceType = "smtp.bounce.type"
	// BounceOwner is who has to act: list_hygiene, reputation, content,
	// authentication, infrastructure, recipient or none. String.
	BounceOwner = "smtp.bounce.owner"
	// BounceRetryable says whether a later attempt may succeed. Bool.
	BounceRetryable = "smtp.bounce.retryable"
	// BounceProviderCode is the receiver's private code. String. Example:
	// "S3150".
	BounceProviderCode = "smtp.bounce.provider_code"
	// BounceBlocklist is the named list. String. Example: "spamhaus_zen".
	BounceBlocklist = "smtp.bounce.blocklist"
	// BounceBlocklistObject is what the list holds: ip, domain, url or helo.
	// String.
	BounceBlocklistObject = "smtp.bounce.blocklist_object"
	// BounceAuthMechanism is the mechanism that failed: spf, dkim, dmarc,
	// alignment or arc. String.
	BounceAuthMechanism = "smtp.bounce.auth_mechanism"
	// BounceRuleID is the rule that decided. String.
	BounceRuleID = "smtp.bounce.rule_id"
	// BounceMatch is what the rule rests on: provider_code, literal, status,
	// reply or fallback. String.
	BounceMatch = "smtp.bounce.match"
	// BounceRulesVersion is the version of the rules. String.
	BounceRulesVersion = "smtp.bounce.rules_version"
	// BounceLastCategory is the category of the recipient's last deferral, on a
	// bounce with category message_expired: the real reason. String.
	BounceLastCategory = "smtp.bounce.last_category"
	// PMTAProvider is the mailbox provider or filter that answered; the
	// registrable domain of the MX when it is no known one. String. Example:
	// "microsoft_consumer".
	PMTAProvider = "pmta.provider"
	// ErrorType is BounceCategory on records of failure. String.
	ErrorType = "error.type"
	// ResponseTemplateID identifies replies that differ only in addresses,
	// hosts, ids and times. String, 16 hex digits.
	ResponseTemplateID = "pmta.response.template_id"
	// LogRecordTemplate is the reply with those parts masked. String.
	LogRecordTemplate = "log.record.template"
)
