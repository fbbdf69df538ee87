// Package configkeys refuses keys that a configuration for another component
// of the same name may have, with what to write instead.
package configkeys // import "github.com/otelcol-pmta/otelcol-pmta/internal/configkeys"

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/confmap"
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
