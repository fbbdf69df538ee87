// Package configkeys holds what the exporters' configurations share: it refuses
// keys that one for another component of the same name may have, with what to
// write instead, and fits a default to another key.
package configkeys // import "github.com/otelcol-pmta/otelcol-pmta/internal/configkeys"

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// Refuse returns an error for each key of instead that is set in conf: the key,
// a colon and what instead says of it. Keys are paths as in "a::b".
func Refuse(conf *confmap.Conf, instead map[string]string) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(instead)) {
		if conf.IsSet(key) {
			errs = append(errs, fmt.Errorf("%s: %s", key, instead[key]))
		}
	}
	return errors.Join(errs...)
}

// FitQueue takes the default of sending_queue::wait_for_result back for a queue
// on disk, which cannot wait for results. What conf sets itself stays.
func FitQueue(conf *confmap.Conf, queue *configoptional.Optional[exporterhelper.QueueBatchConfig]) {
	if queue.HasValue() && queue.Get().StorageID != nil && !conf.IsSet("sending_queue::wait_for_result") {
		queue.Get().WaitForResult = false
	}
}
