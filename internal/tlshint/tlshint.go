// Package tlshint says what to do about a TLS connection that fails, in terms
// of the keys of the Collector's TLS settings.
package tlshint // import "github.com/otelcol-pmta/otelcol-pmta/internal/tlshint"

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
)

// For returns advice about err, or an empty text when err is not one of TLS.
func For(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		remote  *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return "set tls::ca_file to the certificate of the authority that signed the server's"
	case errors.As(err, &host):
		return "use a name for the server that is in its certificate, or set tls::server_name_override to one"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate, or set this host's clock right"
	case errors.As(err, &record):
		return "this port does not speak TLS: use another, or remove tls"
	case errors.As(err, &remote) && remote.Op == "remote error" && strings.Contains(remote.Err.Error(), "certificate"):
		// An alert of the server's. Its number is not exported; the texts of
		// those about a client's certificate all have the word.
		return "the server does not take this client's certificate, or wants one: check tls::cert_file and tls::key_file"
	}
	return ""
}
