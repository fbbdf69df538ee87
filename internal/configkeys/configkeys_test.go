package configkeys

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func TestRefuse(t *testing.T) {
	conf := confmap.NewFromStringMap(map[string]any{"a": map[string]any{"b": false, "c": nil}, "d": 1})
	require.NoError(t, Refuse(conf, map[string]string{"b": "no", "a::x": "no", "d::e": "no"}))
	require.EqualError(t, Refuse(conf, map[string]string{"d": "use e", "a::b": "remove it"}), "a::b: remove it\nd: use e")
}
