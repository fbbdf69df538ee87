package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Secret is a header that a sender has to know. The zero value asks for none.
type Secret struct {
	header string
	bearer bool
	sum    [sha256.Size]byte
}

// NewSecret asks for value in the header called header.
func NewSecret(header, value string) Secret {
	return Secret{header: http.CanonicalHeaderKey(header), sum: sha256.Sum256([]byte(value))}
}

// NewBearer asks for token in the header Authorization, as RFC 6750 has it.
func NewBearer(token string) Secret {
	return Secret{header: "Authorization", bearer: true, sum: sha256.Sum256([]byte(token))}
}

// Challenge is the value of WWW-Authenticate for a request without the
// secret, "" when there is no such scheme.
func (s *Secret) Challenge() string {
	if s.bearer {
		return "Bearer"
	}
	return ""
}

// Known reports whether the sender knows the secret. How long it takes does
// not depend on how much of it is right.
func (s *Secret) Known(h http.Header) bool {
	if s.header == "" {
		return true
	}
	values := h[s.header]
	if len(values) != 1 {
		return false
	}
	v := strings.TrimSpace(values[0])
	if s.bearer {
		scheme, token, _ := strings.Cut(v, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return false
		}
		v = strings.TrimLeft(token, " ")
	}
	sum := sha256.Sum256([]byte(v))
	return subtle.ConstantTimeCompare(sum[:], s.sum[:]) == 1
}
