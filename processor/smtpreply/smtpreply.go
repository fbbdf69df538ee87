package smtpreply

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply/lastdeferral"
	"github.com/otelcol-pmta/otelcol-pmta/processor/smtpreply/internal/metadata"
)

type replyProcessor struct {
	cfg        *Config
	log        *zap.Logger
	classifier *smtpreply.Classifier
	deferrals  *lastdeferral.Ledger // nil when switched off
	telemetry  *metadata.TelemetryBuilder
	byCategory map[smtpreply.Category]metric.MeasurementOption
	scratch    sync.Pool // *scratch

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// scratch is what one call of process needs; calls may overlap.
type scratch struct {
	slab   logslab.Slab
	attrs  []acct.Attr
	shared map[*smtpreply.Verdict]*logslab.Shared
	rules  string // version that shared is of
	counts [64]int64
	// Where the attributes were found last, see logslab.Lookup.
	atDiag, atStatus, atText, atServer, atRcptDomain, atQueueDomain, atType, atRcpt, atFrom, atJob int
}

func newProcessor(set processor.Settings, cfg *Config) (*replyProcessor, error) {
	classifier, err := smtpreply.New(smtpreply.Options{
		CacheSize: cfg.CacheSize, RulesFile: cfg.RulesFile, PendingTemplates: cfg.Unclassified.MaxTemplates,
	})
	if err != nil {
		return nil, fmt.Errorf("rules_file: %w", err)
	}
	p := &replyProcessor{cfg: cfg, log: set.Logger, classifier: classifier, byCategory: map[smtpreply.Category]metric.MeasurementOption{}}
	p.scratch.New = func() any { return &scratch{shared: map[*smtpreply.Verdict]*logslab.Shared{}} }
	if cfg.LastDeferral.MaxEntries > 0 {
		if p.deferrals, err = lastdeferral.New(cfg.LastDeferral.MaxEntries); err != nil {
			return nil, fmt.Errorf("last_deferral::max_entries: %w", err)
		}
	}
	for _, c := range smtpreply.Categories() {
		p.byCategory[c] = metric.WithAttributeSet(attribute.NewSet(attribute.String(semconv.BounceCategory, c.String())))
	}
	if p.telemetry, err = metadata.NewTelemetryBuilder(set.TelemetrySettings); err != nil {
		return nil, err
	}
	return p, p.registerGauges()
}

func (p *replyProcessor) start(context.Context, component.Host) error {
	if path := p.cfg.Unclassified.Path; path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return fmt.Errorf("unclassified::path: %w; name a file the agent may write, or set it to \"\"", err)
		}
		if err := p.classifier.Pending().Load(path); err != nil {
			// The counts of earlier days are not worth a refusal to start.
			p.log.Warn("cannot read the unclassified templates of an earlier run; starting anew", zap.String("path", path), zap.Error(err))
		}
		// Tried at once: a folder that cannot be written shows now, not later.
		if err := p.classifier.Pending().Save(path); err != nil {
			return fmt.Errorf("unclassified::path: %w; name a file the agent may write, or set it to \"\"", err)
		}
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	if p.cfg.RulesFile != "" {
		p.done.Add(1)
		go func() {
			defer p.done.Done()
			p.classifier.Watch(ctx, p.cfg.ReloadInterval, func(err error) {
				if err != nil {
					p.telemetry.SMTPReplyReloadFailures.Add(ctx, 1)
					p.log.Error("the rules file was refused; the rules before stay in force", zap.Error(err))
					return
				}
				p.log.Info("the rules file was read again", zap.String("rules_version", p.classifier.Version()))
			})
		}()
	}
	if p.cfg.Unclassified.Path != "" {
		p.done.Add(1)
		go func() {
			defer p.done.Done()
			tick := time.NewTicker(p.cfg.Unclassified.SaveInterval)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					p.savePending()
				}
			}
		}()
	}
	return nil
}

func (p *replyProcessor) savePending() {
	if err := p.classifier.Pending().Save(p.cfg.Unclassified.Path); err != nil {
		p.log.Error("cannot save the unclassified templates; trying again", zap.String("path", p.cfg.Unclassified.Path), zap.Error(err))
	}
}

func (p *replyProcessor) shutdown(context.Context) error {
	if p.cancel != nil {
		p.cancel()
		p.done.Wait()
		if p.cfg.Unclassified.Path != "" {
			p.savePending()
		}
	}
	p.telemetry.Shutdown()
	return nil
}

// process adds the meaning of its reply to every record that has one.
func (p *replyProcessor) process(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	s := p.scratch.Get().(*scratch)
	s.slab = logslab.Slab{HintAttrs: ld.LogRecordCount() * 52}
	if version := p.classifier.Version(); version != s.rules || len(s.shared) > maxShared {
		clear(s.shared)
		s.rules = version
	}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			recs := sl.LogRecords()
			for i := range recs.Len() {
				p.record(s, recs.At(i).Attributes())
			}
		}
	}
	for c, n := range s.counts {
		if n > 0 {
			p.telemetry.SMTPReplyClassified.Add(ctx, n, p.byCategory[smtpreply.Category(c)])
			s.counts[c] = 0
		}
	}
	s.slab = logslab.Slab{} // what it handed out belongs to the records
	p.scratch.Put(s)
	return ld, nil
}

func text(m pcommon.Map, key string, at *int) string {
	if v, ok := logslab.Lookup(m, key, at); ok && v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return ""
}

func (p *replyProcessor) record(s *scratch, m pcommon.Map) {
	in := smtpreply.Input{Diag: text(m, semconv.PMTADSNDiag, &s.atDiag), DSNStatus: text(m, semconv.SMTPEnhancedStatus, &s.atStatus)}
	if in.Diag == "" && in.DSNStatus == "" {
		// Without either there may still be a status in words.
		if in.DSNStatus = text(m, semconv.PMTADSNStatusText, &s.atText); in.DSNStatus == "" {
			return
		}
	}
	if _, done := m.Get(semconv.BounceCategory); done {
		return // classified already, by this processor or by another agent
	}
	in.MX = text(m, semconv.ServerAddress, &s.atServer)
	if in.Rcpt = text(m, semconv.PMTARcptDomain, &s.atRcptDomain); in.Rcpt == "" {
		in.Rcpt = text(m, semconv.PMTAQueueDomain, &s.atQueueDomain)
	}
	res := p.classifier.Classify(in)
	s.counts[res.Category]++
	sh := s.shared[res.Verdict]
	if sh == nil {
		sh = logslab.Share(verdictAttrs(res.Verdict, s.rules))
		s.shared[res.Verdict] = sh
	}
	s.slab.AppendShared(m, sh)
	a := s.attrs[:0]
	if res.Provider.ID != "" {
		a = append(a, acct.Attr{Key: semconv.PMTAProvider, Str: res.Provider.ID})
	}
	if res.Category != smtpreply.Delivered {
		if cause := p.remember(s, m, res.Verdict); cause != "" {
			a = append(a, acct.Attr{Key: semconv.BounceLastCategory, Str: cause})
		}
	}
	s.slab.Append(m, a)
	s.attrs = a
}

// maxShared bounds how many verdicts have their attributes prepared.
const maxShared = 4096

// verdictAttrs returns what is the same for all records with one verdict.
func verdictAttrs(v *smtpreply.Verdict, version string) (a []acct.Attr) {
	str := func(key, s string) {
		if s != "" {
			a = append(a, acct.Attr{Key: key, Str: s})
		}
	}
	str(semconv.BounceCategory, v.Category.String())
	str(semconv.BounceGroup, v.Group)
	str(semconv.BounceType, v.Type)
	str(semconv.BounceOwner, v.Owner)
	retry := int64(0)
	if v.Retryable {
		retry = 1
	}
	a = append(a, acct.Attr{Key: semconv.BounceRetryable, Num: retry, Kind: acct.KindBool})
	str(semconv.BounceProviderCode, v.ProviderCode)
	str(semconv.BounceBlocklist, v.Blocklist)
	str(semconv.BounceBlocklistObject, v.BlocklistObject)
	str(semconv.BounceAuthMechanism, v.AuthMechanism)
	str(semconv.ResponseTemplateID, v.TemplateID)
	str(semconv.LogRecordTemplate, v.Template)
	str(semconv.BounceRuleID, v.RuleID)
	str(semconv.BounceMatch, v.MatchedBy)
	str(semconv.BounceRulesVersion, version)
	if v.Category != smtpreply.Delivered {
		str(semconv.ErrorType, v.Category.String())
	}
	return a
}

// remember keeps a deferral for the message's later records, and returns the
// category of the last one for a message that expired.
func (p *replyProcessor) remember(s *scratch, m pcommon.Map, v *smtpreply.Verdict) string {
	c := v.Category
	if c == smtpreply.MessageExpired && v.Cause != smtpreply.Unclassified {
		return v.Cause.String() // the record carries its last deferral itself
	}
	if p.deferrals == nil {
		return ""
	}
	switch typ := text(m, semconv.PMTARecordType, &s.atType); {
	case typ == "t":
		p.deferrals.Put(p.messageKey(s, m), c)
	case typ == "b" && c == smtpreply.MessageExpired:
		if last, ok := p.deferrals.Take(p.messageKey(s, m)); ok {
			return last.String()
		}
	}
	return ""
}

// messageKey identifies a message to one recipient over its attempts.
func (p *replyProcessor) messageKey(s *scratch, m pcommon.Map) lastdeferral.Key {
	return p.deferrals.Key(text(m, semconv.SMTPRcptTo, &s.atRcpt), text(m, semconv.SMTPMailFrom, &s.atFrom), text(m, semconv.PMTAJobID, &s.atJob))
}
