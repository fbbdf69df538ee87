package powermtastatus

import (
	"context"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-pmta/otelcol-pmta/internal/webmon"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtastatus/internal/metadata"
)

// scrapeMetrics makes metrics of a reading. A monitor that does not answer is
// pmta.up 0 and no error: that was reported once already.
func (r *reader) scrapeMetrics(ctx context.Context) (pmetric.Metrics, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh(ctx, &r.metricsSeen)
	if r.generation == 0 {
		return pmetric.NewMetrics(), nil // the agent ends
	}
	if !r.wantEvents {
		r.save(ctx)
	}
	return r.metrics(&r.last), nil
}

func (r *reader) metrics(n *reading) pmetric.Metrics {
	mb := r.mb
	ts := pcommon.NewTimestampFromTime(n.at)
	start := n.at
	if s := n.status; s == nil {
		mb.RecordPmtaUpDataPoint(ts, 0)
	} else {
		mb.RecordPmtaUpDataPoint(ts, 1)
		start = n.since
		r.status(ts, n, s)
		r.lists(ts, n)
	}
	res := pcommon.NewResource()
	for _, k := range slices.Sorted(maps.Keys(r.resource)) {
		res.Attributes().PutStr(k, r.resource[k])
	}
	return mb.Emit(metadata.WithResource(res), metadata.WithStartTimeOverride(pcommon.NewTimestampFromTime(start)))
}

func (r *reader) status(ts pcommon.Timestamp, n *reading, s *webmon.Status) {
	mb := r.mb
	if !s.Started.IsZero() && !s.Now.Before(s.Started) {
		mb.RecordPmtaUptimeDataPoint(ts, int64(s.Now.Sub(s.Started).Seconds()))
	}
	if d := s.ShuttingDown; d.OK {
		down := int64(0)
		if d.V {
			down = 1
		}
		mb.RecordPmtaShuttingDownDataPoint(ts, down)
	}
	for _, d := range []struct {
		dir        metadata.AttributeDirection
		total      webmon.Flow
		min, hour  webmon.Flow
		pmin, phur webmon.Flow
		conn       webmon.Connections
	}{
		{metadata.AttributeDirectionIn, s.Total.In, s.LastMinute.In, s.LastHour.In, s.TopPerMinute.In, s.TopPerHour.In, s.SMTPIn},
		{metadata.AttributeDirectionOut, s.Total.Out, s.LastMinute.Out, s.LastHour.Out, s.TopPerMinute.Out, s.TopPerHour.Out, s.SMTPOut},
	} {
		point := func(record func(pcommon.Timestamp, int64, metadata.AttributeDirection), v webmon.Opt[int64]) {
			if v.OK {
				record(ts, v.V, d.dir)
			}
		}
		point(mb.RecordPmtaRecipientsDataPoint, d.total.Recipients)
		point(mb.RecordPmtaMessagesDataPoint, d.total.Messages)
		point(mb.RecordPmtaIoDataPoint, d.total.Bytes)
		point(mb.RecordPmtaConnectionsDataPoint, d.conn.Current)
		point(mb.RecordPmtaConnectionLimitDataPoint, d.conn.Max)
		point(mb.RecordPmtaConnectionPeakDataPoint, d.conn.Top)
		window := func(record func(pcommon.Timestamp, int64, metadata.AttributeDirection, metadata.AttributeWindow), v webmon.Flow, w metadata.AttributeWindow) {
			if v.Recipients.OK {
				record(ts, v.Recipients.V, d.dir, w)
			}
		}
		window(mb.RecordPmtaThroughputRecentDataPoint, d.min, metadata.AttributeWindowMinute)
		window(mb.RecordPmtaThroughputRecentDataPoint, d.hour, metadata.AttributeWindowHour)
		window(mb.RecordPmtaThroughputPeakDataPoint, d.pmin, metadata.AttributeWindowMinute)
		window(mb.RecordPmtaThroughputPeakDataPoint, d.phur, metadata.AttributeWindowHour)
	}
	one := func(record func(pcommon.Timestamp, int64), v webmon.Opt[int64]) {
		if v.OK {
			record(ts, v.V)
		}
	}
	one(mb.RecordPmtaBouncesProcessedDataPoint, s.Total.BounceProcessed)
	one(mb.RecordPmtaFeedbackLoopProcessedDataPoint, s.Total.FeedbackLoopProcessed)
	one(mb.RecordPmtaResolverNamesDataPoint, s.NamesCached)
	if s.QueriesPending.OK {
		mb.RecordPmtaResolverQueriesDataPoint(ts, s.QueriesPending.V, metadata.AttributeQueryStatePending)
	}
	if s.QueriesActive.OK {
		mb.RecordPmtaResolverQueriesDataPoint(ts, s.QueriesActive.V, metadata.AttributeQueryStateActive)
	}
	for _, b := range s.Backlog {
		point := func(record func(pcommon.Timestamp, int64, string), v webmon.Opt[int64]) {
			if v.OK {
				record(ts, v.V, b.Type)
			}
		}
		point(mb.RecordPmtaBacklogRecipientsDataPoint, b.Recipients)
		point(mb.RecordPmtaBacklogDomainsDataPoint, b.Domains)
		point(mb.RecordPmtaBacklogSizeDataPoint, b.Bytes)
	}
	sp := s.Spool
	if sp.FilesInUse.OK {
		mb.RecordPmtaSpoolFilesDataPoint(ts, sp.FilesInUse.V, metadata.AttributeFileStateInUse)
	}
	if sp.FilesRecycled.OK {
		mb.RecordPmtaSpoolFilesDataPoint(ts, sp.FilesRecycled.V, metadata.AttributeFileStateRecycled)
	}
	one(mb.RecordPmtaSpoolFileAllocatedDataPoint, sp.FilesTotal)
	one(mb.RecordPmtaSpoolDirectoriesDataPoint, sp.Directories)
	one(mb.RecordPmtaSpoolRecipientsDataPoint, sp.Recipients)
	one(mb.RecordPmtaSpoolRecipientLimitDataPoint, sp.MaxRecipients)
	if sp.InitPercent.OK {
		mb.RecordPmtaSpoolInitializedDataPoint(ts, sp.InitPercent.V/100)
	}
}

func (r *reader) lists(ts pcommon.Timestamp, n *reading) {
	mb := r.mb
	type record = func(pcommon.Timestamp, int64, string)
	for _, k := range []struct {
		kind                                   webmon.Kind
		count                                  func(pcommon.Timestamp, int64)
		recipients, size, connections, domains record
	}{
		{webmon.Queues, mb.RecordPmtaQueueCountDataPoint, mb.RecordPmtaQueueRecipientsDataPoint, mb.RecordPmtaQueueSizeDataPoint, mb.RecordPmtaQueueConnectionsDataPoint, nil},
		{webmon.Domains, mb.RecordPmtaDomainCountDataPoint, mb.RecordPmtaDomainRecipientsDataPoint, mb.RecordPmtaDomainSizeDataPoint, mb.RecordPmtaDomainConnectionsDataPoint, nil},
		{webmon.VMTAs, mb.RecordPmtaVmtaCountDataPoint, mb.RecordPmtaVmtaRecipientsDataPoint, mb.RecordPmtaVmtaSizeDataPoint, mb.RecordPmtaVmtaConnectionsDataPoint, mb.RecordPmtaVmtaDomainsDataPoint},
		{webmon.Jobs, mb.RecordPmtaJobCountDataPoint, mb.RecordPmtaJobRecipientsDataPoint, mb.RecordPmtaJobSizeDataPoint, mb.RecordPmtaJobConnectionsDataPoint, nil},
	} {
		l := n.lists[k.kind]
		if l == nil {
			continue
		}
		k.count(ts, l.count)
		if r.tops[k.kind].N == 0 {
			continue
		}
		row := func(row *webmon.Row) {
			if row.Recipients.OK {
				k.recipients(ts, row.Recipients.V, row.Name)
			}
			if row.Bytes.OK {
				k.size(ts, row.Bytes.V, row.Name)
			}
			if row.Connections.OK {
				k.connections(ts, row.Connections.V, row.Name)
			}
			// A domain has queues in several vMTAs, so there is no sum of them.
			if k.domains != nil && row.Domains.OK && row.Name != webmon.Other {
				k.domains(ts, row.Domains.V, row.Name)
			}
		}
		for i := range l.named {
			row(&l.named[i])
		}
		row(&l.rest)
	}
	for _, v := range []struct {
		value  int64
		record func(pcommon.Timestamp, int64)
	}{
		{n.paused, mb.RecordPmtaQueuePausedDataPoint},
		{n.backoff, mb.RecordPmtaQueueBackoffDataPoint},
		{n.disabledIPs, mb.RecordPmtaQueueSourceIPDisabledDataPoint},
	} {
		if v.value >= 0 {
			v.record(ts, v.value)
		}
	}
}
