package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
)

// statusFlags are about the web monitor of the simulated server.
type statusFlags struct {
	listen, version, cert string
	https                 bool
}

func (c *statusFlags) register(f *flag.FlagSet) {
	f.StringVar(&c.listen, "status-listen", "", "with --rate: serve the web monitor of the simulated server at `ADDRESS`, such as 127.0.0.1:8080, while it runs")
	f.StringVar(&c.version, "status-version", "5.0r8", "with --status-listen: `VERSION` that the monitor is of; below 5.0 it has only XML")
	f.BoolVar(&c.https, "status-https", false, "with --status-listen: redirect to HTTPS with a self-signed certificate, as 5.0 does by default")
	f.StringVar(&c.cert, "status-cert", "", "with --status-https: write the certificate to `FILE`, for ca_file")
}

// start serves the monitor and adds it to the streams of the run. The returned
// function ends it.
func (c *statusFlags) start(run *simulate.RunOptions) (stop func() error, err error) {
	switch {
	case c.listen == "" && (c.https || c.cert != ""):
		return nil, errors.New("--status-https and --status-cert need --status-listen")
	case c.listen == "":
		return func() error { return nil }, nil
	case run.Clock == nil:
		return nil, errors.New("--status-listen needs --rate: without it the run is over in a moment")
	case c.cert != "" && !c.https:
		return nil, errors.New("--status-cert needs --status-https")
	}
	m, err := simulate.NewMonitor(simulate.MonitorConfig{Version: c.version})
	if err != nil {
		return nil, fmt.Errorf("--status-version: %w", err)
	}
	srv, err := simulate.ServeMonitor(c.listen, c.https, m)
	if err != nil {
		return nil, fmt.Errorf("--status-listen: %w", err)
	}
	if c.cert != "" {
		if err := os.WriteFile(c.cert, srv.CertificatePEM, 0o644); err != nil {
			return nil, errors.Join(fmt.Errorf("--status-cert: %w", err), srv.Close())
		}
	}
	run.Streams = append(run.Streams, m)
	return srv.Close, nil
}
