package mailenrich

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dchest/siphash"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/attribution"
	"github.com/otelcol-pmta/otelcol-pmta/internal/dimension"
	"github.com/otelcol-pmta/otelcol-pmta/internal/ledger"
	"github.com/otelcol-pmta/otelcol-pmta/internal/storageclient"
	"github.com/otelcol-pmta/otelcol-pmta/processor/mailenrich/internal/metadata"
)

// memory is what the instances of one processor have in common: the Collector
// makes one for each pipeline, but the deferrals of a message may come by one
// pipeline and its delivery by another, and files can have one owner only.
type memory struct {
	cfg       *Config
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	k0, k1    uint64 // of the keyed hash of messages

	store  storage.Client
	ledger *ledger.Ledger
	window *attribution.Window
	dims   *dimension.Source

	stop chan struct{}
	done sync.WaitGroup

	logMu  sync.Mutex
	logged time.Time
}

var (
	memoriesMu sync.Mutex
	memories   = map[*Config]*sharing{}
)

type sharing struct {
	m     *memory
	users int
}

// acquire returns the memory of cfg, and opens it for the first user.
func acquire(ctx context.Context, cfg *Config, set processor.Settings, host component.Host) (*memory, error) {
	memoriesMu.Lock()
	defer memoriesMu.Unlock()
	s := memories[cfg]
	if s == nil {
		m, err := openMemory(ctx, cfg, set, host)
		if err != nil {
			return nil, err
		}
		s = &sharing{m: m}
		memories[cfg] = s
	}
	s.users++
	return s.m, nil
}

// release closes the memory after its last user.
func release(ctx context.Context, m *memory) error {
	memoriesMu.Lock()
	defer memoriesMu.Unlock()
	s := memories[m.cfg]
	if s == nil || s.m != m {
		return nil
	}
	if s.users--; s.users > 0 {
		return nil
	}
	delete(memories, m.cfg)
	return m.close(ctx)
}

func openMemory(ctx context.Context, cfg *Config, set processor.Settings, host component.Host) (m *memory, err error) {
	m = &memory{cfg: cfg, log: set.Logger, stop: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close(ctx))
		}
	}()
	if m.telemetry, err = metadata.NewTelemetryBuilder(set.TelemetrySettings); err != nil {
		return m, err
	}
	if err := m.openStore(ctx, set.ID, host); err != nil {
		return m, err
	}
	if err := m.loadKey(ctx); err != nil {
		return m, err
	}
	if cfg.Ledger.Enabled {
		m.ledger = ledger.New(cfg.Ledger.MaxEntries)
		if m.store != nil {
			if err := m.ledger.Open(ctx, m.store); errors.Is(err, ledger.ErrBroken) {
				m.log.Error("the delivery ledger of the last run is of no use; starting with an empty one, so attempts of waiting messages count anew", zap.Error(err))
				m.telemetry.MailEnrichStorageErrors.Add(ctx, 1)
			} else if err != nil {
				return m, fmt.Errorf("storage: %w", err)
			}
		}
	}
	if dir := cfg.Repair.Directory; dir != "" {
		var damaged int
		m.window, damaged, err = attribution.Open(attribution.Options{
			Dir: dir, MaxEntries: cfg.Repair.MaxEntries, MaxAge: cfg.Repair.MaxAge,
			// Tells keys apart, nothing else.
			KeyCheck: uint32(siphash.Hash(m.k0, m.k1, []byte("attribution window"))),
		})
		if err != nil {
			return m, fmt.Errorf("repair::directory: cannot use %s: %w; give the agent's user the folder (chown) or name another one", dir, err)
		}
		if damaged > 0 {
			m.log.Warn("parts of the attribution window were of no use and have been removed; some late bounces and complaints stay without vMTA and job",
				zap.String("directory", dir), zap.Int("segments", damaged))
		}
	}
	if cfg.Dimensions.File != "" {
		if m.dims, err = dimension.Open(cfg.Dimensions.File); err != nil {
			return m, fmt.Errorf("dimensions::file: %w", err)
		}
		m.watch()
	}
	return m, m.registerGauges()
}

func (m *memory) openStore(ctx context.Context, id component.ID, host component.Host) error {
	if m.cfg.Storage == nil {
		if m.cfg.Ledger.Enabled {
			m.log.Warn("storage is not set: after a restart attempts of waiting messages count anew; add a file_storage extension and set storage: file_storage")
		}
		return nil
	}
	client, err := storageclient.Open(ctx, host, m.cfg.Storage, component.KindProcessor, id)
	if err != nil {
		return err
	}
	m.store = client
	return nil
}

const keyName = "key"

// loadKey takes the key of the keyed hash from where it was kept, or makes and
// keeps a new one: in the storage, else next to the attribution window, else
// nowhere. Without the key neither ledger nor window tells anything.
func (m *memory) loadKey(ctx context.Context) error {
	fresh := make([]byte, 16)
	rand.Read(fresh)
	key := fresh
	switch file := filepath.Join(m.cfg.Repair.Directory, keyName); {
	case m.store != nil:
		kept, err := m.store.Get(ctx, keyName)
		if err != nil {
			return fmt.Errorf("storage: %w", err)
		}
		if len(kept) == len(fresh) {
			key = kept
		} else if err := m.store.Set(ctx, keyName, fresh); err != nil {
			return fmt.Errorf("storage: %w", err)
		}
	case m.cfg.Repair.Directory != "":
		kept, err := os.ReadFile(file)
		if err == nil && len(kept) == len(fresh) {
			key = kept
			break
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("repair::directory: %w", err)
		}
		if err := os.MkdirAll(m.cfg.Repair.Directory, 0o700); err != nil {
			return fmt.Errorf("repair::directory: %w; give the agent's user the folder (chown) or name another one", err)
		}
		if err := os.WriteFile(file, fresh, 0o600); err != nil {
			return fmt.Errorf("repair::directory: %w; give the agent's user the folder (chown) or name another one", err)
		}
	}
	m.k0, m.k1 = binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:])
	return nil
}

// watch looks at the dimension table from time to time.
func (m *memory) watch() {
	ticker := time.NewTicker(m.cfg.Dimensions.ReloadInterval)
	m.done.Go(func() {
		defer ticker.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-ticker.C:
				m.checkDimensions()
			}
		}
	})
}

func (m *memory) checkDimensions() {
	changed, err := m.dims.Check()
	switch {
	case err != nil:
		m.log.Error("the dimension table was refused; the one before stays in force", zap.Error(err))
		m.telemetry.MailEnrichDimensionReloadFailures.Add(context.Background(), 1)
	case changed:
		m.log.Info("the dimension table has been read again", zap.String("file", m.cfg.Dimensions.File), zap.Int("rows", m.dims.Table().Len()))
		m.telemetry.MailEnrichDimensionReloads.Add(context.Background(), 1)
	}
}

// flush makes durable what a batch has brought. Trouble is counted, and logged
// once a minute; it does not hold up the batch.
func (m *memory) flush(ctx context.Context) {
	var err error
	if m.ledger != nil {
		err = m.ledger.Flush(ctx)
	}
	if m.window != nil {
		err = errors.Join(err, m.window.Flush())
	}
	if err != nil {
		m.trouble(ctx, err)
	}
}

func (m *memory) trouble(ctx context.Context, err error) {
	m.telemetry.MailEnrichStorageErrors.Add(ctx, 1)
	m.logMu.Lock()
	defer m.logMu.Unlock()
	if now := time.Now(); now.Sub(m.logged) > time.Minute {
		m.logged = now
		m.log.Error("cannot keep the delivery ledger or attribution window on disk; records go on, but a restart would forget attempts and attribution", zap.Error(err))
	}
}

func (m *memory) close(ctx context.Context) error {
	var errs []error
	close(m.stop)
	m.done.Wait()
	if m.ledger != nil {
		errs = append(errs, m.ledger.Close(ctx))
	}
	if m.window != nil {
		errs = append(errs, m.window.Close())
	}
	if m.store != nil {
		errs = append(errs, m.store.Close(ctx))
	}
	if m.telemetry != nil {
		m.telemetry.Shutdown()
	}
	return errors.Join(errs...)
}

// registerGauges lets the agent's own metrics read counters.
func (m *memory) registerGauges() error {
	t := m.telemetry
	var errs []error
	if m.ledger != nil {
		count := func(value func(ledger.Stats) int64) metric.Int64Callback {
			return func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(value(m.ledger.Stats()))
				return nil
			}
		}
		errs = append(errs,
			t.RegisterMailEnrichLedgerEntriesCallback(count(func(s ledger.Stats) int64 { return int64(s.Entries) })),
			t.RegisterMailEnrichLedgerEvictionsCallback(count(func(s ledger.Stats) int64 { return int64(s.Evicted) })))
	}
	if m.window != nil {
		room, age := metric.WithAttributes(attribute.String("reason", "room")), metric.WithAttributes(attribute.String("reason", "age"))
		errs = append(errs,
			t.RegisterMailEnrichRepairEntriesCallback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(int64(m.window.Stats().Entries))
				return nil
			}),
			t.RegisterMailEnrichRepairEvictionsCallback(func(_ context.Context, o metric.Int64Observer) error {
				s := m.window.Stats()
				o.Observe(int64(s.Evicted), room)
				o.Observe(int64(s.Expired), age)
				return nil
			}))
	}
	return errors.Join(errs...)
}
