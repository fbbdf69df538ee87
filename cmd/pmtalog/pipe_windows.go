package main

import (
	"context"
	"io"
	"os"
)

func pipeSignals(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// pipeInput returns f: a Read of a pipe cannot be ended here.
func pipeInput(f *os.File) io.Reader { return f }
