package simulate

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// MonitorServer serves a [Monitor].
type MonitorServer struct {
	// Addr is where it listens, with the port that was chosen for port 0.
	Addr string
	// CertificatePEM is the self-signed certificate, empty without HTTPS.
	CertificatePEM []byte

	server *http.Server
	done   chan struct{}
}

// ServeMonitor listens on addr, such as "127.0.0.1:8080". With https it does
// what PowerMTA 5.0 does by default: on one port it redirects plain HTTP to
// HTTPS with a self-signed certificate.
func ServeMonitor(addr string, https bool, h http.Handler) (*MonitorServer, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &MonitorServer{Addr: l.Addr().String(), done: make(chan struct{})}
	if https {
		cert, text, err := selfSigned(l.Addr())
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		s.CertificatePEM = text
		l = newSniffer(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		h = redirectToHTTPS(h)
	}
	s.server = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // ErrServerClosed, or the listener's end
	}()
	return s, nil
}

// Close ends it and all connections.
func (s *MonitorServer) Close() error {
	err := s.server.Close()
	<-s.done
	return err
}

func redirectToHTTPS(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			u := *r.URL
			u.Scheme, u.Host = "https", r.Host
			http.Redirect(w, r, u.String(), http.StatusFound)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// sniffer is a listener whose connections are TLS if their first byte says so.
type sniffer struct {
	net.Listener
	cfg    *tls.Config
	conns  chan net.Conn
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newSniffer(l net.Listener, cfg *tls.Config) *sniffer {
	s := &sniffer{Listener: l, cfg: cfg, conns: make(chan net.Conn)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Add(1)
	go s.run()
	return s
}

func (s *sniffer) run() {
	defer s.wg.Done()
	for {
		c, err := s.Listener.Accept()
		if err != nil {
			s.cancel() // it was closed
			return
		}
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			stop := context.AfterFunc(s.ctx, func() { _ = c.Close() })
			defer stop()
			p := &peeked{Conn: c, r: bufio.NewReader(c)}
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			first, err := p.r.Peek(1)
			if err != nil {
				_ = c.Close()
				return
			}
			_ = c.SetReadDeadline(time.Time{})
			var conn net.Conn = p
			if first[0] == 0x16 { // a TLS handshake
				conn = tls.Server(p, s.cfg)
			}
			select {
			case s.conns <- conn:
			case <-s.ctx.Done():
				_ = c.Close()
			}
		}()
	}
}

func (s *sniffer) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (s *sniffer) Close() error {
	err := s.Listener.Close()
	s.cancel()
	s.wg.Wait()
	return err
}

type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// selfSigned makes a certificate for localhost and the address. Unlike all
// else here it is another one at each run, since keys must be.
func selfSigned(addr net.Addr) (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulated PowerMTA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if a, ok := addr.(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
		t.IPAddresses = append(t.IPAddresses, a.IP)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
