package schema

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocsAreCurrent(t *testing.T) {
	got, err := os.ReadFile("../../docs/schema.md")
	require.NoError(t, err)
	require.Equal(t, string(Markdown()), string(got), "run go generate in internal/schema")
}

func TestMappings(t *testing.T) {
	require.Nil(t, Mappings(Options{Schema: SplunkCIM}))
	for name, o := range map[string]Options{"ecs": {Schema: ECS}, "otel": {}, "otel_nested": {Nested: true}} {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(Mappings(o), "", "  ")
			require.NoError(t, err)
			file := "testdata/golden/mappings_" + name + ".json"
			if *update {
				require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got)+"\n")
			// What a document may have is mapped.
			var leaves func(prefix string, p map[string]any) int
			leaves = func(prefix string, p map[string]any) (n int) {
				for k, v := range p {
					m := v.(map[string]any)
					if sub, ok := m["properties"]; ok {
						n += leaves(prefix+k+".", sub.(map[string]any))
						continue
					}
					require.NotEmpty(t, m["type"], prefix+k)
					n++
				}
				return n
			}
			require.Greater(t, leaves("", Mappings(o)["properties"].(map[string]any)), 90)
		})
	}
}
