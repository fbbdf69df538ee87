package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/freeport"
	"github.com/otelcol-pmta/otelcol-pmta/internal/webmon"
)

func TestSimulateStatusFlags(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct{ args, want string }{
		{"--status-listen 127.0.0.1:0", "needs --rate"},
		{"--rate 5 --status-https", "need --status-listen"},
		{"--rate 5 --status-listen 127.0.0.1:0 --status-cert x.pem", "needs --status-https"},
		{"--rate 5 --status-listen 127.0.0.1:0 --status-version new", "no version"},
		{"--rate 5 --status-listen " + taken.Addr().String(), "--status-listen: "},
		{"--rate 5 --status-listen 127.0.0.1:0 --status-https --status-cert /nowhere/x.pem", "--status-cert: "},
	} {
		code, _, errs := call(context.Background(), append([]string{"simulate", "--dir", t.TempDir()}, strings.Fields(c.args)...)...)
		if code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d, stderr %q", c.args, code, errs)
		}
	}
}

// While mail is written the monitor tells of it, over HTTPS if asked to.
func TestSimulateServesStatus(t *testing.T) {
	port, err := freeport.Get()
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	dir := t.TempDir()
	cert := filepath.Join(dir, "webmon.pem")
	ctx, cancel := context.WithCancel(context.Background())
	type result struct {
		code int
		errs string
	}
	done := make(chan result, 1)
	go func() {
		code, _, errs := call(ctx, "simulate", "--dir", filepath.Join(dir, "pmta"), "--rate", "200", "--hurry", "60", "--status-listen", addr,
			"--status-https", "--status-cert", cert)
		done <- result{code, errs}
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	var client *webmon.Client
	for {
		if pem, err := os.ReadFile(cert); err == nil && client == nil {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(pem)
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
			defer transport.CloseIdleConnections()
			if client, err = webmon.NewClient(webmon.ClientOptions{URL: "http://" + addr, HTTP: &http.Client{Transport: transport}}); err != nil {
				t.Fatal(err)
			}
		}
		if client != nil {
			s, err := client.Status(ctx, webmon.ParseOptions{})
			if err == nil && s.Total.Out.Recipients.V > 0 && s.Total.In.Recipients.V >= s.Total.Out.Recipients.V {
				break
			}
		}
		select {
		case <-tick.C:
		case r := <-done:
			t.Fatalf("it ended: %+v", r)
		case <-deadline:
			t.Fatal("no status")
		}
	}
	cancel()
	if r := <-done; r.code != exitOK {
		t.Errorf("%+v", r)
	}
}
