package mailenrich

import (
	"slices"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/dimension"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// field numbers the attributes that the processor reads or writes.
type field int

const (
	fType field = iota
	fQueued
	fFirst
	fDuration
	fOrig
	fRcpt
	fOrcpt
	fOrigDomain
	fRcptDomain
	fQueueDomain
	fQueueVMTA
	fVMTA
	fPool
	fJob
	fEnv
	fSourceIP
	fLocal
	fPeer
	fServer
	fDiag
	fDiagType
	fCode
	fCategory
	fPMTACategory
	fLastCategory
	fHmxRcpt
	fARFRcpt
	fOriginal
	fTranscript
	// What only this processor writes; there already when records pass twice.
	fRcptDomainU
	fOrigDomainU
	fQueueDomainU
	fBase
	fForm
	fAttempt
	fExact
	fElapsed
	fLastDeferral
	fRepaired
	fMatch
	fTimeSent
	fKeyID
	numFields
)

var fieldNames = [numFields]string{
	fType: semconv.PMTARecordType, fQueued: semconv.PMTATimeQueued, fFirst: semconv.PMTATimeFirstAttempt,
	fDuration: semconv.PMTAQueueDuration, fOrig: semconv.SMTPMailFrom, fRcpt: semconv.SMTPRcptTo, fOrcpt: semconv.PMTAOrcpt,
	fOrigDomain: semconv.PMTAOrigDomain, fRcptDomain: semconv.PMTARcptDomain, fQueueDomain: semconv.PMTAQueueDomain,
	fQueueVMTA: semconv.PMTAQueueVMTA, fVMTA: semconv.PMTAVMTA, fPool: semconv.PMTAVMTAPool, fJob: semconv.PMTAJobID,
	fEnv: semconv.PMTAEnvelopeID, fSourceIP: semconv.PMTASourceIP, fLocal: semconv.NetworkLocalAddress,
	fPeer: semconv.NetworkPeerAddress, fServer: semconv.ServerAddress, fDiag: semconv.PMTADSNDiag,
	fDiagType: semconv.PMTADSNDiagType, fCode: semconv.SMTPResponseCode, fCategory: semconv.BounceCategory,
	fPMTACategory: semconv.PMTABounceCategory, fLastCategory: semconv.BounceLastCategory,
	fHmxRcpt: semconv.PMTAHeaderPrefix + "x_hmxmroriginalrecipient", fARFRcpt: semconv.PMTAARFPrefix + "original_rcpt_to",
	fOriginal: semconv.LogRecordOriginal, fTranscript: semconv.PMTASessionTranscript,
	fRcptDomainU: semconv.PMTARcptDomainUnicode, fOrigDomainU: semconv.PMTAOrigDomainUnicode, fQueueDomainU: semconv.PMTAQueueDomainUnicode,
	fBase: semconv.PMTAOrigBase, fForm: semconv.PMTAOrigForm, fAttempt: semconv.PMTAAttempt, fExact: semconv.PMTAAttemptExact,
	fElapsed: semconv.PMTAFirstAttemptElapsed, fLastDeferral: semconv.PMTALastDeferralCategory, fRepaired: semconv.PMTARepaired,
	fMatch: semconv.PMTARepairMatch, fTimeSent: semconv.PMTATimeSent, fKeyID: semconv.PMTARedactionKeyID,
}

var fieldByName = func() map[string]field {
	m := make(map[string]field, numFields)
	for f, n := range fieldNames {
		m[n] = field(f)
	}
	return m
}()

// shape is a sequence of attribute names, with the places of those that
// matter. Records of one source have few shapes, so knowing the shape is
// cheaper than searching for some thirty names, most of them absent.
type shape struct {
	keys    []string
	at      [numFields]int16 // -1 when absent
	headers []int16          // places of the headers that the dimension table asks for
	texts   []int16          // places of texts in which addresses are replaced
	model   int16            // place of the template of a reply, -1 when absent
	labeled bool             // has labels of the dimension table already
}

// maxShapes bounds the memory of shapes; beyond it they are learnt anew.
const maxShapes = 512

// shapes knows the shapes seen, by number of attributes.
type shapes struct {
	byLen [][]*shape
	n     int
}

func (c *shapes) reset() { c.byLen, c.n = nil, 0 }

// get returns the shape of v, made by learn when it is new.
func (c *shapes) get(v *logslab.View, learn func(keys []string) *shape) *shape {
	n := v.Len()
	if n < len(c.byLen) {
		list := c.byLen[n]
		for i, s := range list {
			if v.HasKeys(s.keys) {
				if i > 0 { // the one seen last is looked at first
					list[i], list[i-1] = list[i-1], list[i]
				}
				return s
			}
		}
	}
	keys := make([]string, n)
	for i := range keys {
		keys[i] = v.Key(i)
	}
	s := learn(keys)
	if n > 1000 {
		return s // not worth keeping
	}
	if c.n >= maxShapes {
		c.reset()
	}
	for n >= len(c.byLen) {
		c.byLen = append(c.byLen, nil)
	}
	c.byLen[n] = append(c.byLen[n], s)
	c.n++
	return s
}

// headerAttributes returns the attributes that may hold a header, the first
// that is there counts.
func headerAttributes(snake string) []string {
	switch snake {
	case "message_id":
		return []string{semconv.EmailMessageID}
	case "subject":
		return []string{semconv.EmailSubject}
	case "from":
		return []string{semconv.EmailFromAddress, semconv.PMTAHeaderFrom}
	case "reply_to":
		return []string{semconv.EmailReplyToAddress, semconv.PMTAHeaderReplyTo}
	case "date":
		return []string{semconv.EmailOriginationTimestamp}
	case "x_mailer":
		return []string{semconv.EmailXMailer}
	}
	return []string{semconv.PMTAHeaderPrefix + snake}
}

// snake makes the attribute name of a header as the decoder does.
func snake(s string) string {
	b := []byte(strings.ToLower(strings.TrimSpace(s)))
	for i, c := range b {
		if c < 0x80 && !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z') {
			b[i] = '_'
		}
	}
	return string(b)
}

// textAttributes lists what always holds text from outside.
var textAttributes = []string{semconv.PMTADSNDiag, semconv.SMTPResponseText, semconv.PMTADSNPMTAAction,
	semconv.PMTAReason, semconv.SMTPCommand, semconv.PMTASessionTranscript, semconv.PMTADSNStatusText,
	semconv.URLFull, semconv.URLPath, semconv.PMTAPipeCommand}

// learn finds out where in keys the attributes are.
func (p *enricher) learn(keys []string, table *dimension.Table) *shape {
	s := &shape{keys: keys, model: int16(slices.Index(keys, semconv.LogRecordTemplate))}
	for f := range s.at {
		s.at[f] = -1
	}
	for i, k := range keys {
		if f, ok := fieldByName[k]; ok && s.at[f] < 0 {
			s.at[f] = int16(i)
		}
		if strings.HasPrefix(k, p.cfg.Dimensions.Prefix) {
			s.labeled = true
		}
		if slices.Contains(textAttributes, k) || p.textNames[k] || strings.HasPrefix(k, semconv.PMTAARFPrefix) ||
			strings.HasPrefix(k, semconv.PMTAUnparsedPrefix) || strings.HasPrefix(k, semconv.PMTAFieldPrefix) {
			s.texts = append(s.texts, int16(i))
		}
	}
	if table != nil {
		for _, h := range table.Headers() {
			at := int16(-1)
			for _, name := range headerAttributes(h) {
				if i := slices.Index(keys, name); i >= 0 {
					at = int16(i)
					break
				}
			}
			s.headers = append(s.headers, at)
		}
	}
	return s
}
