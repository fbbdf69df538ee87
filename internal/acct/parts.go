package acct

// Parts of records that occur in PowerMTA's other logs too.

// ParseReply takes an SMTP reply to pieces: "550 5.1.1 no such user" is 550,
// "5.1.1" and "no such user". code is 0 and enhanced "" where there is none.
func ParseReply(s string) (code int64, enhanced, text string) {
	r := parseReply(s)
	return r.code, r.enhanced, r.text
}

// BareIP returns s without brackets and "IPv6:" tag if the rest has the shape
// of an IP address, else "".
func BareIP(s string) string { return bareIP(s) }

// Clean reports whether s is text: UTF-8 without NUL.
func Clean(s string) bool { return clean(s) }

// Sanitize writes NUL and what is not UTF-8 as \xNN.
func Sanitize(s string) string { return sanitize(s) }
