package mainlog

import "regexp"

// quotedReply finds an SMTP reply, which another server gave.
var quotedReply = regexp.MustCompile(`"[245]\d\d[ -]|\b[245]\d\d[ -][245]\.\d+\.\d+|: [245]\d\d[ -]`)

// severityWords are the words that tell how bad something is.
var severityWords = map[string]Severity{
	"fatal": Fatal, "panic": Fatal, "panicked": Fatal, "crash": Fatal, "crashed": Fatal, "segfault": Fatal, "sigsegv": Fatal, "sigabrt": Fatal,
	"abort": Error, "aborted": Fatal, "aborting": Fatal,
	"error": Error, "errors": Error, "err": Error, "unable": Error, "failed": Error, "fails": Error, "failure": Error, "failures": Error, "fail": Error,
	"cannot": Error, "can't": Error, "couldn't": Error, "exception": Error, "invalid": Error, "corrupt": Error,
	"corrupted": Error, "refused": Error, "critical": Error,
	"warning": Warn, "warnings": Warn, "warn": Warn, "denied": Warn, "timeout": Warn, "deprecated": Warn, "disabled": Warn,
	"exceeded": Warn, "unreachable": Warn, "ignored": Warn, "ignoring": Warn, "missing": Warn, "unknown": Warn, "retrying": Warn,
}

// longestSeverityWord is the length of the longest key of severityWords.
const longestSeverityWord = 12

// notTrouble are words which, right behind a severity word, make it a name:
// "error log", "panic log".
var notTrouble = map[string]bool{"log": true, "logs": true, "logging": true, "page": true, "pages": true, "handler": true, "handlers": true,
	"reporting": true, "level": true, "free": true, "counter": true, "counters": true, "count": true, "file": true}

// severityOf derives a severity from the words of a text: the worst word
// decides. A word that is counted as none ("0 errors", "no error", "errors: 0")
// and one that is a part of a name ("error.example.com", "error log") say
// nothing.
func severityOf(s string) Severity {
	if len(s) > 2048 {
		s = s[:2048]
	}
	worst := Info
	none := false // the word before means none
	var buf [longestSeverityWord]byte
	could, timed := false, false // the word before was could or can, timed
	for i := 0; i < len(s); {
		if !isLetter(s[i]) {
			if isDigit(s[i]) {
				j := i
				for i < len(s) && isDigit(s[i]) {
					i++
				}
				none, could, timed = i-j == 1 && s[j] == '0', false, false
				continue
			}
			if s[i] != ' ' && s[i] != '\t' {
				none = false
			}
			i++
			continue
		}
		start := i
		for i < len(s) && (isLetter(s[i]) || s[i] == '\'' && i+1 < len(s) && isLetter(s[i+1])) {
			i++
		}
		n := i - start
		if n > longestSeverityWord {
			none, could, timed = false, false, false
			continue
		}
		for k := range n {
			buf[k] = lower(s[start+k])
		}
		word := buf[:n]
		wasNone := none
		none = string(word) == "no" || string(word) == "without" || string(word) == "zero" || none && string(word) == "more"
		sev, ok := severityWords[string(word)]
		switch {
		case ok:
		case could && string(word) == "not":
			sev, ok = Error, true
		case timed && string(word) == "out":
			sev, ok = Warn, true
		}
		could, timed = string(word) == "could" || string(word) == "can", string(word) == "timed"
		if !ok || sev <= worst || wasNone || partOfName(s, start, i) || countedNone(s[i:]) || notTrouble[nextWord(s[i:])] {
			continue
		}
		worst = sev
	}
	return worst
}

// partOfName reports whether s[start:end] is a piece of a host, path or
// identifier.
func partOfName(s string, start, end int) bool {
	if start > 0 {
		switch c := s[start-1]; {
		case c == '.' || c == '/' || c == '\\' || c == '_' || c == '@' || c == '-' || isDigit(c):
			return true
		}
	}
	if end < len(s) {
		switch c := s[end]; {
		case c == '/' || c == '\\' || c == '_' || c == '@' || isDigit(c):
			return true
		case c == '.' || c == '-':
			return end+1 < len(s) && (isLetter(s[end+1]) || isDigit(s[end+1]))
		}
	}
	return false
}

// countedNone reports whether s, what follows a word, says that there is none:
// ": 0", "=0".
func countedNone(s string) bool {
	i := 0
	for i < len(s) && (s[i] == ' ' || s[i] == ':' || s[i] == '=') {
		i++
	}
	if i == 0 || i > 3 || i == len(s) || s[i] != '0' {
		return false
	}
	return i+1 == len(s) || !isDigit(s[i+1]) && !isLetter(s[i+1]) && s[i+1] != '.'
}

// nextWord returns the word behind a space in lower case, "" without.
func nextWord(s string) string {
	if len(s) < 2 || s[0] != ' ' && s[0] != '-' {
		return ""
	}
	var buf [longestSeverityWord]byte
	n := 0
	for n < len(buf) && n+1 < len(s) && isLetter(s[n+1]) {
		buf[n] = lower(s[n+1])
		n++
	}
	if n+1 < len(s) && isLetter(s[n+1]) {
		return ""
	}
	return string(buf[:n])
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
