package jsonlfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type item struct {
	Name string `json:"name"`
}

func check(i *item) error {
	if i.Name == "" {
		return errors.New("name is missing")
	}
	return nil
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "list.jsonl")
	got, err := Load(file, check)
	require.NoError(t, err)
	require.Empty(t, got)

	require.NoError(t, Save(file, []item{{"a<b"}, {"c"}}))
	require.NoError(t, Save(file, []item{{"d&e"}}))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, `{"name":"d&e"}`+"\n", string(data))
	got, err = Load(file, check)
	require.NoError(t, err)
	require.Equal(t, []item{{"d&e"}}, got)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file stays")

	require.Error(t, Save(filepath.Join(dir, "none", "list.jsonl"), []item{}))
	for text, want := range map[string]string{"{}\n": "line 1: name is missing", "\n{\n": "line 2: ", strings.Repeat("x", maxLine+1): "too long"} {
		_, err := Read(strings.NewReader(text), check)
		require.ErrorContains(t, err, want)
	}
}
