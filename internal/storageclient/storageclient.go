// Package storageclient opens the storage extension that a component names.
package storageclient

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Open returns a client of the extension id for a component; nil without an id.
// Errors name the key `storage` and the fix.
func Open(ctx context.Context, host component.Host, id *component.ID, kind component.Kind, owner component.ID) (storage.Client, error) {
	if id == nil {
		return nil, nil
	}
	ext, ok := host.GetExtensions()[*id]
	if !ok {
		return nil, fmt.Errorf("storage: extension %q is not there; list it under extensions and service::extensions", *id)
	}
	se, ok := ext.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: extension %q does not store anything; use file_storage", *id)
	}
	client, err := se.GetClient(ctx, kind, owner, "")
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return client, nil
}
