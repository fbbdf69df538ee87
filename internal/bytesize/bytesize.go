// Package bytesize is the one way in which configurations write sizes.
package bytesize // import "github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes. In a configuration it is a plain number or
// one with a unit: 512KiB, 64MiB, 1GiB, or 64MB for powers of ten.
type Size int64

var units = []struct {
	suffix string
	factor int64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"b", 1},
}

// UnmarshalText reads a size as a user writes it.
func (b *Size) UnmarshalText(text []byte) error {
	s := strings.ToLower(strings.ReplaceAll(string(text), " ", ""))
	factor := int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(s, u.suffix); ok {
			s, factor = n, u.factor
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return fmt.Errorf("%q is no size; write for example 512KiB, 64MiB or a number of bytes", text)
	}
	*b = Size(n * factor)
	return nil
}

// String returns the size with the largest unit that divides it.
func (b Size) String() string {
	for _, u := range []struct {
		suffix string
		factor Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if b >= u.factor && b%u.factor == 0 {
			return fmt.Sprintf("%d%s", b/u.factor, u.suffix)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
