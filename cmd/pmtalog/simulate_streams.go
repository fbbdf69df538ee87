package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
)

// streamFlags are those for all that PowerMTA writes besides accounting files.
type streamFlags struct {
	log, detail, httpLog, startupError string
	rotate                             int
	rotateEvery                        time.Duration
	truncate, unnumbered               bool
	incidents                          []simulate.Incident

	webhook, format, webhookTypes, certificate, ca string
	webhookGzip                                    bool
	headers                                        http.Header
	webhookSize                                    sizeFlag
	webhookInterval, webhookRetry                  time.Duration

	pipe, pipeTypes        string
	pipeRetry, pipeTimeout time.Duration
	systemLog              *simulate.SystemLog
	webhookStream          *simulate.Webhook
	pipeStream             *simulate.Pipe
	linesOf                []func() (lines, bytes int64)
}

func (c *streamFlags) define(f *flag.FlagSet) {
	c.webhookSize = 5 << 20
	c.headers = http.Header{}
	f.StringVar(&c.log, "log", "", "write the system log to `FILE`, such as /tmp/pmta/pmta.log")
	f.StringVar(&c.detail, "log-detail", "commands", "what --log has of each SMTP session: `LEVEL` none, connections, commands, or data (dumps and clients' passwords)")
	f.BoolVar(&c.unnumbered, "log-unnumbered", false, "with --log: no connection numbers before session lines")
	f.IntVar(&c.rotate, "log-rotate", 8, "at midnight rename logs to FILE.1, FILE.2 ..., and keep `N` with the live one; 0 = never rotate")
	f.DurationVar(&c.rotateEvery, "log-rotate-every", 0, "rotate logs every `TIME` too")
	f.BoolVar(&c.truncate, "log-truncate", false, "copy logs to FILE.1 and truncate them in place, instead of renaming; with --log-rotate 1 only truncate")
	f.StringVar(&c.httpLog, "http-log", "", "write the web monitor's log to `FILE`, such as /tmp/pmta/pmtahttp.log")
	f.StringVar(&c.startupError, "startup-error", "", "write why a start failed to `FILE`, such as /tmp/pmta/pmta-startuperr.log; without --incident startup_failure the first start fails")
	f.Func("incident", "something goes wrong: `NAME[@BEGIN[+LENGTH]][:KEY=VALUE,...]`, see above (repeatable)", func(s string) error {
		i, err := simulate.ParseIncident(s)
		c.incidents = append(c.incidents, i)
		return err
	})
	f.StringVar(&c.webhook, "webhook-url", "", "post records to `URL` as PowerMTA's accounting webhook does")
	f.StringVar(&c.format, "webhook-format", "csv", "bodies are `FORMAT` csv, json (an array) or jsonl (one object a line)")
	f.Func("webhook-header", "send a header: `'NAME: VALUE'` (repeatable)", func(s string) error {
		name, value, ok := strings.Cut(s, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(s, "\r\n") {
			return errors.New("write it as 'Name: value'")
		}
		c.headers.Add(name, strings.TrimSpace(value))
		return nil
	})
	f.BoolVar(&c.webhookGzip, "webhook-gzip", false, "compress bodies")
	f.StringVar(&c.webhookTypes, "webhook-types", "", "record `TYPES` of the webhook (default those of --types)")
	f.Var(&c.webhookSize, "webhook-max-size", "post at this `SIZE`")
	f.DurationVar(&c.webhookInterval, "webhook-max-interval", 5*time.Minute, "post after this `TIME` at the latest")
	f.DurationVar(&c.webhookRetry, "webhook-retry", time.Minute, "after a failure send the same body again in `TIME`")
	f.StringVar(&c.ca, "webhook-ca-file", "", "trust the certificates in `FILE` (PEM) instead of the system's")
	f.StringVar(&c.certificate, "webhook-certificate", "", "present the client certificate and key in `FILE` (PEM)")
	f.StringVar(&c.pipe, "pipe", "", "start `COMMAND` (no shell) and write records to its standard input, as <acct-file |COMMAND> does")
	f.StringVar(&c.pipeTypes, "pipe-types", "", "record `TYPES` of the pipe (default those of --types)")
	f.DurationVar(&c.pipeRetry, "pipe-retry-interval", 5*time.Minute, "start the command again `TIME` after an error")
	f.DurationVar(&c.pipeTimeout, "pipe-write-timeout", time.Minute, "give the command up if it does not read for `TIME`")
}

// check finds wrong usage that no stream would.
func (c *streamFlags) check(set map[string]bool) error {
	need := func(flag string, names ...string) error {
		for _, n := range names {
			if set[n] {
				return fmt.Errorf("--%s needs %s", n, flag)
			}
		}
		return nil
	}
	if c.log == "" {
		if err := need("--log", "log-detail", "log-unnumbered"); err != nil {
			return err
		}
		if c.httpLog == "" {
			if err := need("--log or --http-log", "log-rotate", "log-rotate-every", "log-truncate"); err != nil {
				return err
			}
		}
	}
	if c.webhook == "" {
		if err := need("--webhook-url", "webhook-format", "webhook-header", "webhook-gzip", "webhook-types", "webhook-max-size",
			"webhook-max-interval", "webhook-retry", "webhook-ca-file", "webhook-certificate"); err != nil {
			return err
		}
	}
	if c.pipe == "" {
		if err := need("--pipe", "pipe-types", "pipe-retry-interval", "pipe-write-timeout"); err != nil {
			return err
		}
	}
	failing := false
	for _, i := range c.incidents {
		s, ok := i.(*simulate.Stoppage)
		failing = failing || ok && s.Kind == simulate.FailedStart
	}
	switch {
	case failing && c.startupError == "":
		return errors.New("--incident startup_failure needs --startup-error")
	case !failing && c.startupError != "":
		first, err := simulate.ParseIncident("startup_failure")
		if err != nil {
			return err
		}
		c.incidents = append(c.incidents, first)
	}
	return nil
}

// logs makes the streams that others tell things, so they come first.
func (c *streamFlags) logs(seed uint64, scenario *simulate.Scenario, block int) (list []simulate.Stream, err error) {
	file := simulate.LogFileConfig{Keep: c.rotate, Every: c.rotateEvery, Truncate: c.truncate, Block: block}
	if c.log != "" {
		detail, err := simulate.ParseLogDetail(c.detail)
		if err != nil {
			return nil, fmt.Errorf("--log-detail: %w", err)
		}
		file.Path = c.log
		c.systemLog, err = simulate.NewSystemLog(simulate.SystemLogConfig{LogFileConfig: file, Seed: seed, Detail: detail, Unnumbered: c.unnumbered, Scenario: scenario})
		if err != nil {
			return nil, err
		}
		list, c.linesOf = append(list, c.systemLog), append(c.linesOf, c.systemLog.Lines)
	}
	if c.httpLog != "" {
		file.Path = c.httpLog
		l, err := simulate.NewHTTPLog(simulate.HTTPLogConfig{LogFileConfig: file, Seed: seed})
		if err != nil {
			return nil, err
		}
		list, c.linesOf = append(list, l), append(c.linesOf, l.Lines)
	}
	if c.startupError != "" {
		l, err := simulate.NewStartupLog(c.startupError)
		if err != nil {
			return nil, err
		}
		list, c.linesOf = append(list, l), append(c.linesOf, l.Lines)
	}
	return list, nil
}

// notify returns who is told of errors: the log, or standard error if there is none.
func (c *streamFlags) notify(std stdio) func(time.Time, string) {
	if c.systemLog != nil {
		return c.systemLog.Note
	}
	return func(_ time.Time, text string) { fmt.Fprintf(std.err, "pmtalog simulate: %s\n", text) }
}

// outputs makes webhook and pipe, whose records have the columns of the first accounting file.
func (c *streamFlags) outputs(first simulate.AccountingConfig, dir string, realTime bool, std stdio) (list []simulate.Stream, err error) {
	notify := c.notify(std)
	choose := func(flag, types string) ([]simulate.Type, map[simulate.Type][]string, error) {
		if types == "" {
			return first.Types, first.Fields, nil
		}
		chosen, err := simulate.ParseTypes(types)
		if err != nil {
			return nil, nil, fmt.Errorf("--%s: %w", flag, err)
		}
		fields := map[simulate.Type][]string{}
		for _, t := range chosen {
			fields[t] = first.Fields[t]
		}
		return chosen, fields, nil
	}
	if c.webhook != "" {
		cfg := simulate.WebhookConfig{
			URL: c.webhook, Staging: filepath.Join(dir, "webhook-staging", "webhook.csv"), Format: c.format, Header: c.headers, Gzip: c.webhookGzip,
			CRLF: first.CRLF, UnixTimes: first.UnixTimes, UserString: first.UserString,
			MaxSize: int64(c.webhookSize), MaxInterval: c.webhookInterval, Retry: c.webhookRetry, Background: realTime, Notify: notify,
		}
		if cfg.Types, cfg.Fields, err = choose("webhook-types", c.webhookTypes); err != nil {
			return nil, err
		}
		if cfg.TLS, err = c.tls(); err != nil {
			return nil, err
		}
		if c.webhookStream, err = simulate.NewWebhook(cfg); err != nil {
			return nil, err
		}
		list = append(list, c.webhookStream)
	}
	if c.pipe != "" {
		cfg := simulate.PipeConfig{
			Command: c.pipe, JSON: first.JSON, CRLF: first.CRLF, UnixTimes: first.UnixTimes, UserString: first.UserString,
			Retry: c.pipeRetry, Timeout: c.pipeTimeout, Stderr: std.err, Notify: notify,
		}
		if !realTime {
			cfg.Block = 32 << 10
		}
		if cfg.Types, cfg.Fields, err = choose("pipe-types", c.pipeTypes); err != nil {
			return nil, err
		}
		if c.pipeStream, err = simulate.NewPipe(cfg); err != nil {
			return nil, err
		}
		list = append(list, c.pipeStream)
	}
	return list, nil
}

func (c *streamFlags) tls() (*tls.Config, error) {
	if c.ca == "" && c.certificate == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, fmt.Errorf("--webhook-ca-file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--webhook-ca-file %s: no certificate in PEM form in it", c.ca)
		}
	}
	if c.certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.certificate, c.certificate)
		if err != nil {
			return nil, fmt.Errorf("--webhook-certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// summary prints what the streams did.
func (c *streamFlags) summary(std stdio) {
	var lines, bytes int64
	for _, of := range c.linesOf {
		n, b := of()
		lines, bytes = lines+n, bytes+b
	}
	if len(c.linesOf) > 0 {
		fmt.Fprintf(std.err, "logs: %d lines in %d logs, %d bytes\n", lines, len(c.linesOf), bytes)
	}
	if c.webhookStream != nil {
		s := c.webhookStream.Stats()
		fmt.Fprintf(std.err, "webhook: %d records in %d requests, %d failures, %d records left\n", s.Records, s.Posts, s.Failures, s.Left)
	}
	if c.pipeStream != nil {
		s := c.pipeStream.Stats()
		fmt.Fprintf(std.err, "pipe: %d records, %d lost, %d starts\n", s.Records, s.Lost, s.Starts)
	}
}
