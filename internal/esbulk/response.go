package esbulk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// filterPath leaves out what nobody reads of a bulk response: per document
// {"create":{"status":201}} remains.
var filterPath = []string{
	"errors",
	"items.*.status",
	"items.*.failure_store",
	"items.*.error.type",
	"items.*.error.reason",
	"items.*.error.caused_by.type",
	"items.*.error.caused_by.reason",
}

// item is what Elasticsearch says about one document of a bulk request.
type item struct {
	Status       int      `json:"status"`
	FailureStore string   `json:"failure_store"`
	Error        *esError `json:"error"`
}

// esError is an error as Elasticsearch reports it.
type esError struct {
	Type     string   `json:"type"`
	Reason   string   `json:"reason"`
	CausedBy *esError `json:"caused_by"`
}

func (e *esError) reason() string {
	if e == nil {
		return ""
	}
	s := e.Reason
	for c := e.CausedBy; c != nil && c.Reason != ""; c = c.CausedBy {
		if !strings.Contains(s, c.Reason) {
			s += ": " + c.Reason
		}
	}
	return s
}

const itemCreated = `{"create":{"status":201}}`

// parseItems returns what a bulk response says about each of n documents, or
// nil when all of them were created. A response that does not account for
// exactly n documents is an error: then nothing is known about any of them.
func parseItems(body []byte, n int) ([]item, error) {
	if allCreated(body, n) {
		return nil, nil
	}
	var r struct {
		Items []map[string]item `json:"items"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("the answer is no bulk response: %w", err)
	}
	if len(r.Items) != n {
		return nil, fmt.Errorf("the answer is about %d documents, %d were sent", len(r.Items), n)
	}
	items := make([]item, n)
	for i, m := range r.Items {
		it, ok := m["create"]
		if !ok || it.Status == 0 {
			return nil, errors.New("the answer is no bulk response: an item is without status")
		}
		items[i] = it
	}
	return items, nil
}

// allCreated reports whether body is the answer to n documents that were all
// created, in the one form that filterPath leaves. Anything else is left to
// the JSON parser.
func allCreated(body []byte, n int) bool {
	body, ok := bytes.CutPrefix(body, []byte(`{"errors":false,"items":[`))
	if !ok || len(body) != n*(len(itemCreated)+1)+1 {
		return false
	}
	for i := range n {
		at := body[i*(len(itemCreated)+1):]
		if string(at[:len(itemCreated)]) != itemCreated {
			return false
		}
		if end := at[len(itemCreated)]; (i < n-1 && end != ',') || (i == n-1 && end != ']') {
			return false
		}
	}
	return body[len(body)-1] == '}'
}

// parseError returns the error that Elasticsearch gives for a whole request,
// or nil when body is not one of Elasticsearch's.
func parseError(body []byte) *esError {
	var r struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &r) != nil || len(r.Error) == 0 {
		return nil
	}
	var e esError
	if json.Unmarshal(r.Error, &e) == nil && e.Type != "" {
		return &e
	}
	var s string
	if json.Unmarshal(r.Error, &s) == nil && s != "" {
		return &esError{Type: plainError, Reason: s}
	}
	return nil
}

// plainError stands for the type of an error that is a mere text: it comes from
// the layer before the bulk API, as "no handler found for uri".
const plainError = "error"

// verdict is what becomes of a document or of a request.
type verdict int

const (
	delivered verdict = iota // it is in Elasticsearch
	conflict                 // it was there already
	stored                   // it is in the failure store of the data stream
	again                    // not its fault: to be sent again
	rejected                 // its own fault: it will never be taken
)

// judge sorts the answer for one document.
func judge(it item) verdict {
	switch s := it.Status; {
	case s == http.StatusOK || s == http.StatusCreated:
		if it.FailureStore == "used" {
			return stored
		}
		return delivered
	case s == http.StatusConflict:
		return conflict
	case s == http.StatusBadRequest && it.Error != nil && notItsFault(it.Error):
		return again
	case s == http.StatusBadRequest, s == http.StatusRequestEntityTooLarge, s == http.StatusUnprocessableEntity:
		return rejected
	default:
		// 429 and 5xx pass by themselves. 401, 403, 404 and the like are for
		// an administrator to mend (a missing privilege, a read-only index);
		// the next document would fare no better, so this one has to wait.
		return again
	}
}

// notItsFault tells the errors with status 400 that say something about the
// cluster or the configuration, not about a document: the shard limit, a closed
// index, an alias without a write index, an ingest pipeline that does not
// exist, a parameter that an old version does not know, an address that is not
// that of the bulk API.
func notItsFault(e *esError) bool {
	switch e.Type {
	case "validation_exception", "index_closed_exception", plainError:
		return true
	case "illegal_argument_exception":
		for _, prefix := range []string{"pipeline with id [", "request [", "no write index is defined for alias ["} {
			if strings.HasPrefix(e.Reason, prefix) {
				return true
			}
		}
	}
	return false
}
