// Package webmon reads PowerMTA's web monitor: the pages /status, /queues,
// /domains, /vmtas, /jobs and /queueDetail, as JSON (since 5.0) or XML (since
// 3.x), and says what changed between two readings.
//
// Format source: the samples and client programs named in the comments of
// [ParseStatus], [ParseList] and [ParseQueueDetail]. Both formats become one
// tree first, in which names are compared without regard to case, numbers may
// be strings, and what is missing or unknown does no harm. That a page is JSON
// or XML is decided by its first byte: old versions serve XML as text/html.
//
// [Client] only ever sends GET. [Tracker] is the memory for queues in backoff
// and disabled source IPs, [Top] the one that bounds the number of names in
// metrics.
package webmon // import "github.com/otelcol-pmta/otelcol-pmta/internal/webmon"
