package main

import (
	"bytes"
	"os"
	"testing"
)

func TestFresh(t *testing.T) {
	have, err := os.ReadFile("../../../docs/fields.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n")), render()) {
		t.Error("docs/fields.md is out of date; run: go run ./internal/tools/fielddoc > docs/fields.md")
	}
}
