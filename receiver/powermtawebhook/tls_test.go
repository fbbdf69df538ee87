package powermtawebhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.uber.org/zap"
)

// authority issues certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	next int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue makes NAME.crt and NAME.key.
func (a *authority) issue(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	a.next++
	template.SerialNumber = big.NewInt(a.next)
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(a.t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	for file, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		require.NoError(a.t, os.WriteFile(a.file(name+file), pem.EncodeToMemory(block), 0o600))
	}
	return cert, key
}

func (a *authority) server(name string) {
	a.issue(name, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

// sender is an HTTP client that shows the certificate NAME.crt, if any.
func (a *authority) sender(name string) *http.Client {
	a.t.Helper()
	conf := &tls.Config{RootCAs: a.pool}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(a.file(name+".crt"), a.file(name+".key"))
		require.NoError(a.t, err)
		conf.Certificates = []tls.Certificate{pair}
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (r *rig) https() string { return strings.Replace(r.url(), "http:", "https:", 1) }

func withTLS(cfg *Config, cert, key, clientCA string) {
	var c configtls.ServerConfig
	c.CertFile, c.KeyFile, c.ClientCAFile = cert, key, clientCA
	cfg.HTTP.TLS = configoptional.Some(c)
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	a.server("server")
	r := newRig(t)
	withTLS(r.cfg, a.file("server.crt"), a.file("server.key"), "")
	r.start()
	sender := a.sender("")
	resp, err := sender.Do(r.request(http.MethodPost, r.https(), header+rowD))
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1", resp.Proto)
	r.accepted(r.read(resp), 1)
	// The certificate is asked of the right authority.
	_, err = newAuthority(t).sender("").Do(r.request(http.MethodPost, r.https(), header+rowD))
	require.ErrorContains(t, err, "certificate")
	// Plain text is refused.
	got := r.post2(r.request(http.MethodPost, r.url(), header+rowB))
	require.NotEqual(t, http.StatusOK, got)
	require.Len(t, r.p.records(), 1)
}

// post2 returns the status of a request that may not be answered in JSON; 0
// when there is no answer.
func (r *rig) post2(req *http.Request) int {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestMutualTLS(t *testing.T) {
	a := newAuthority(t)
	a.server("server")
	client := func() *x509.Certificate {
		return &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	}
	a.issue("pmta", client())
	other := newAuthority(t)
	other.issue("pmta", client())

	r := newRig(t)
	withTLS(r.cfg, a.file("server.crt"), a.file("server.key"), a.file("ca.crt"))
	r.start()
	r.accepted(r.do(r.request(http.MethodPost, r.https(), header+rowD), a.sender("pmta")), 1)
	for name, sender := range map[string]*http.Client{"none": a.sender(""), "of another authority": other.sender("pmta")} {
		sender.Transport.(*http.Transport).TLSClientConfig.RootCAs = a.pool
		resp, err := sender.Do(r.request(http.MethodPost, r.https(), header+rowB))
		if err == nil {
			_ = resp.Body.Close()
		}
		require.Error(t, err, name)
	}
	require.Len(t, r.p.records(), 1)
}

func TestSecrets(t *testing.T) {
	header1 := func(name, value string) []string { return []string{name, value} }
	for name, tc := range map[string]struct {
		secret SecretConfig
		right  []string
		wrong  [][]string
	}{
		"bearer": {SecretConfig{BearerToken: "s3cret"}, header1("Authorization", "Bearer s3cret"),
			[][]string{nil, header1("Authorization", "Bearer wrong"), header1("Authorization", "s3cret"), header1("X-Pmta-Secret", "s3cret")}},
		"header": {SecretConfig{Header: HeaderConfig{Name: "x-pmta-secret", Value: configopaque.String("s3cret")}}, header1("X-PMTA-Secret", "s3cret"),
			[][]string{nil, header1("X-Pmta-Secret", "wrong"), header1("X-Pmta-Secret", ""), header1("Authorization", "Bearer s3cret")}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.cfg.Secret = configoptional.Some(tc.secret)
			r.start()
			r.accepted(r.post(header+rowD, tc.right...), 1)
			for _, headers := range tc.wrong {
				resp := r.post(header+rowB, headers...)
				require.Equal(t, http.StatusUnauthorized, resp.code, headers)
				require.Equal(t, name == "bearer", resp.header.Get("WWW-Authenticate") == "Bearer")
				require.Nil(t, resp.Accepted)
			}
			require.Len(t, r.p.records(), 1)
			r.requests(map[int]int64{200: 1, 401: int64(len(tc.wrong))})
			for _, entry := range r.logs.All() {
				require.NotContains(t, entry.Message, "s3cret")
				for _, v := range entry.ContextMap() {
					require.NotContains(t, v, "s3cret")
				}
			}
		})
	}
}

// A body is not even read of someone without the secret.
func TestNoSecretNoPlace(t *testing.T) {
	r := newRig(t)
	r.cfg.Secret = configoptional.Some(SecretConfig{BearerToken: "s3cret"})
	r.cfg.MaxConcurrentRequests = 1
	r.start()
	conn := r.dial(slowHead)
	require.Equal(t, http.StatusUnauthorized, r.answerOn(conn).code)
	r.accepted(r.post(header+rowD, "Authorization", "Bearer s3cret"), 1)
}

// Who opens the receiver to the network without any proof of who sends is
// warned.
func TestOpenToAnyone(t *testing.T) {
	a := newAuthority(t)
	a.server("server")
	for name, tc := range map[string]struct {
		change func(*Config)
		warned bool
	}{
		"open":       {func(*Config) {}, true},
		"only tls":   {func(c *Config) { withTLS(c, a.file("server.crt"), a.file("server.key"), "") }, true},
		"mutual tls": {func(c *Config) { withTLS(c, a.file("server.crt"), a.file("server.key"), a.file("ca.crt")) }, false},
		"secret":     {func(c *Config) { c.Secret = configoptional.Some(SecretConfig{BearerToken: "s3cret"}) }, false},
		"loopback":   {func(c *Config) { c.HTTP.NetAddr.Endpoint = "127.0.0.1:0" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.cfg.HTTP.NetAddr.Endpoint = "0.0.0.0:0"
			tc.change(r.cfg)
			r.start()
			warnings := r.logs.FilterMessageSnippet("anyone who reaches this address can send").FilterLevelExact(zap.WarnLevel).Len()
			require.Equal(t, tc.warned, warnings == 1)
		})
	}
}
