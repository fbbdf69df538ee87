package tlshint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// Errors as a client really gets them.
func TestFor(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	mutual := httptest.NewUnstartedServer(http.NotFoundHandler())
	mutual.Config.ErrorLog = log.New(io.Discard, "", 0)
	mutual.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	mutual.StartTLS()
	defer mutual.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()

	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	for _, tc := range []struct {
		name, addr string
		cfg        *tls.Config
		want       string
	}{
		{"authority", secure.Listener.Addr().String(), &tls.Config{RootCAs: x509.NewCertPool()}, "tls::ca_file"},
		{"name", secure.Listener.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "kafka.invalid"}, "tls::server_name_override"},
		{"no TLS", plain.Listener.Addr().String(), &tls.Config{RootCAs: pool}, "does not speak TLS"},
		{"certificate wanted", mutual.Listener.Addr().String(), &tls.Config{RootCAs: pool}, "tls::cert_file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := tls.Dial("tcp", tc.addr, tc.cfg)
			if err == nil { // the server's verdict comes with the first answer
				_, err = c.Read(make([]byte, 1))
				_ = c.Close()
			}
			require.Error(t, err)
			require.Contains(t, For(fmt.Errorf("dial: %w", err)), tc.want)
		})
	}
	require.Contains(t, For(x509.CertificateInvalidError{Reason: x509.Expired}), "clock")
	require.Empty(t, For(errors.New("tls: no")))
	require.Empty(t, For(nil))
}
