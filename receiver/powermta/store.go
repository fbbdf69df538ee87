package powermta

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// prefixStore keeps the keys of one of several users of a storage client apart.
type prefixStore struct {
	storage.Client
	prefix string
}

func (s prefixStore) Get(ctx context.Context, key string) ([]byte, error) {
	return s.Client.Get(ctx, s.prefix+key)
}

func (s prefixStore) Set(ctx context.Context, key string, value []byte) error {
	return s.Client.Set(ctx, s.prefix+key, value)
}

func (s prefixStore) Delete(ctx context.Context, key string) error {
	return s.Client.Delete(ctx, s.prefix+key)
}

// sideStore keeps numbered slots beside the positions.
type sideStore struct {
	client storage.Client
	prefix string
}

// Load implements reconcile.Store.
func (s *sideStore) Load(slot int) ([]byte, error) {
	return s.client.Get(context.Background(), fmt.Sprint(s.prefix, slot))
}

// Save implements reconcile.Store.
func (s *sideStore) Save(slot int, data []byte) error {
	if data == nil {
		return s.client.Delete(context.Background(), fmt.Sprint(s.prefix, slot))
	}
	return s.client.Set(context.Background(), fmt.Sprint(s.prefix, slot), data)
}
