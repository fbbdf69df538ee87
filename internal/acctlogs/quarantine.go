package acctlogs

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/multierr"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"
	"github.com/otelcol-pmta/otelcol-pmta/internal/jsonline"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// ReasonRefused is the quarantine reason of records that the pipeline refused
// for good.
const ReasonRefused = "refused"

// QuarantineConfig says where input goes that cannot be shipped.
type QuarantineConfig struct {
	// Path is the JSON lines file.
	Path string `mapstructure:"path"`
	// MaxSize is the size at which the file is rotated.
	MaxSize bytesize.Size `mapstructure:"max_size"`
	// MaxFiles is how many files are kept, the current one included.
	MaxFiles int `mapstructure:"max_files"`
}

// DefaultQuarantine is what the key `quarantine` means when it is not set.
func DefaultQuarantine() QuarantineConfig {
	return QuarantineConfig{Path: "/var/lib/otelcol-pmta/quarantine.jsonl", MaxSize: 64 << 20, MaxFiles: 4}
}

// Problems returns every mistake with its key, as of a key `quarantine`.
func (c QuarantineConfig) Problems() (errs []error) {
	if c.Path == "" {
		errs = append(errs, errors.New(`quarantine::path: must not be empty; name a file the agent may write, for example /var/lib/otelcol-pmta/quarantine.jsonl`))
	}
	if c.MaxSize < 1<<10 {
		errs = append(errs, fmt.Errorf("quarantine::max_size: %v is too small; use 1KiB or more", c.MaxSize))
	}
	if c.MaxFiles < 1 {
		errs = append(errs, fmt.Errorf("quarantine::max_files: %d is too few; use 1 or more", c.MaxFiles))
	}
	return errs
}

// RefusedPath returns the file beside the quarantine file that takes refused
// records: quarantine.jsonl has quarantine-refused.jsonl.
func (c QuarantineConfig) RefusedPath() string {
	ext := filepath.Ext(c.Path)
	return strings.TrimSuffix(c.Path, ext) + "-refused" + ext
}

// Open opens the two quarantine files of a receiver: rejected takes input that
// is no record and is bounded, the oldest goes; refused takes records that a
// destination refused for good, and nothing goes.
func (c QuarantineConfig) Open() (rejected, refused *quarantine.File, err error) {
	if rejected, err = c.open(c.Path); err != nil {
		return nil, nil, err
	}
	if refused, err = c.OpenRefused(); err != nil {
		return nil, nil, err
	}
	return rejected, refused, nil
}

// OpenRefused opens only the second of the two, for a receiver without input
// that could be rejected.
func (c QuarantineConfig) OpenRefused() (*quarantine.File, error) {
	refused, err := c.open(c.RefusedPath())
	if err != nil {
		return nil, err
	}
	// A destination that refuses for good what is in order, with a wrong token
	// say, would in hours push the oldest records out of a bounded file.
	refused.KeepAll = true
	return refused, nil
}

func (c QuarantineConfig) open(path string) (*quarantine.File, error) {
	f, err := quarantine.Open(path, int64(c.MaxSize), c.MaxFiles)
	if err != nil {
		return nil, fmt.Errorf("quarantine::path: cannot write %s: %w; give the agent's user the folder (chown) or name another one", path, err)
	}
	return f, nil
}

// RefusedEvents returns a quarantine entry for each of events, which the agent
// found out itself and the pipeline has refused with the error cause. source
// says where. Attrs of each have to hold everything but the UID.
func RefusedEvents(source string, events []Event, cause error) []quarantine.Entry {
	entries := make([]quarantine.Entry, len(events))
	var w jsonline.Writer
	for i := range events {
		ev := &events[i]
		line := jsonline.Event{Time: ev.Time, Name: ev.Name, SeverityText: ev.SeverityText, UID: ev.UID, Body: ev.Body}
		for _, a := range ev.Attrs {
			if a.Key == semconv.PMTAStream {
				line.Stream = a.Str // has a place of its own
			} else {
				line.Attrs = append(line.Attrs, a)
			}
		}
		e := &entries[i]
		*e = quarantine.Entry{Time: time.Now().UTC(), File: source, Kind: quarantine.KindEvent, Reason: ReasonRefused, Detail: cause.Error()}
		e.SetRaw(strings.TrimSuffix(string(w.AppendEvent(nil, &line)), "\n"))
	}
	return entries
}

// Input is a stretch of input that was decoded in one go.
type Input struct {
	// Name is the path of its file, or says otherwise where it came from.
	Name string
	// Kind is what it holds, see quarantine.Entry.
	Kind string
	// Src is the bytes, kept to build the records again.
	Src string
	// Offset is where Src begins in the (decompressed) file.
	Offset int64
	// Final says that nothing came behind Src.
	Final bool
	// Observed is when it was read.
	Observed time.Time
}

// Reject is input that became no record, with what it takes to decode it again.
type Reject struct {
	acct.Reject
	Context []byte // what acct.Decoder.Context returned at that moment
}

// Contexts hands out decoder contexts, one and the same for records that have
// the same columns: a copy of the header line for each would be far more than
// the records. The zero value is ready for use with one decoder.
type Contexts struct{ state, context []byte }

// Of returns dec.Context(), not to be changed.
func (c *Contexts) Of(dec *acct.Decoder) []byte {
	// State returns the same memory until there is a change.
	if s := dec.State(); len(c.state) == 0 || &s[0] != &c.state[0] {
		c.state, c.context = s, dec.Context()
	}
	return c.context
}

// entry returns a quarantine entry for the bytes from start to end of Src.
func (in *Input) entry(start, end int, reason, detail string, context []byte) quarantine.Entry {
	e := quarantine.Entry{Time: in.Observed.UTC(), File: in.Name, Kind: in.Kind, Offset: in.Offset + int64(start), Reason: reason, Detail: detail, Context: context}
	e.SetRaw(in.Src[start:end])
	return e
}

// Rejected returns the quarantine entries of what was no record.
func (in *Input) Rejected(rejects []Reject) []quarantine.Entry {
	entries := make([]quarantine.Entry, len(rejects))
	for i, rej := range rejects {
		entries[i] = in.entry(rej.Start, rej.End, string(rej.Reason), rej.Detail, rej.Context)
		if rej.Reason == acct.ReasonNulBytes {
			// A hole may be as long as the file was before it was truncated, and
			// would push out what somebody wants to look at.
			entries[i].Raw = ""
		}
	}
	return entries
}

// Refused returns a quarantine entry for each record in Src, which the
// pipeline has refused with the error cause. dec is at Offset. skip leaves
// records out; it may be nil.
func (in *Input) Refused(dec *acct.Decoder, cause error, skip func(*acct.Record) bool) []quarantine.Entry {
	h := &refusals{in: in, dec: dec, detail: cause.Error(), skip: skip}
	dec.Decode(in.Src, in.Final, h)
	return h.entries
}

// refusals collects the places of records.
type refusals struct {
	in      *Input
	dec     *acct.Decoder
	detail  string
	skip    func(*acct.Record) bool
	context Contexts
	entries []quarantine.Entry
}

func (h *refusals) Record(rec *acct.Record) {
	if h.skip == nil || !h.skip(rec) {
		h.entries = append(h.entries, h.in.entry(rec.Start, rec.End, ReasonRefused, h.detail, h.context.Of(h.dec)))
	}
}

func (h *refusals) Reject(acct.Reject) {} // has an entry of its own already

// IsPermanent tells whether another attempt at what ConsumeLogs answered with
// err is pointless: every one of the errors, where several destinations
// answered, has to say so.
func IsPermanent(err error) bool {
	all := multierr.Errors(err)
	for _, e := range all {
		if !consumererror.IsPermanent(e) {
			return false
		}
	}
	return len(all) > 0
}
