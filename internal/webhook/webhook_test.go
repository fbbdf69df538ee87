package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"
)

func packed(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

func TestReadAll(t *testing.T) {
	for _, n := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 3 * firstRead, 10 * firstRead} {
		want := bytes.Repeat([]byte("x"), n)
		for _, expected := range []int64{-1, 0, 1, int64(n), 2 * int64(n), 1 << 60} {
			got, err := ReadAll(bytes.NewReader(want), expected, n)
			require.NoError(t, err, n)
			require.Equal(t, want, got)
		}
		got, err := ReadAll(iotest.OneByteReader(bytes.NewReader(want)), 0, n+1)
		require.NoError(t, err, n)
		require.Equal(t, want, got)
		if n > 0 {
			_, err = ReadAll(bytes.NewReader(want), int64(n), n-1)
			require.ErrorIs(t, err, ErrTooLarge)
		}
	}
	broken := errors.New("broken")
	_, err := ReadAll(iotest.ErrReader(broken), 0, 10)
	require.ErrorIs(t, err, broken)
}

func TestGunzip(t *testing.T) {
	text := []byte(strings.Repeat("d,2026-01-31\n", 1000))
	z := packed(t, text)
	require.True(t, Gzipped(z))
	require.False(t, Gzipped(text))
	require.False(t, Gzipped(z[:2]))
	got, err := Gunzip(z, len(text))
	require.NoError(t, err)
	require.Equal(t, text, got)
	got, err = Gunzip(append(z[:len(z):len(z)], z...), 2*len(text)) // two members
	require.NoError(t, err)
	require.Len(t, got, 2*len(text))
	_, err = Gunzip(z, len(text)-1)
	require.ErrorIs(t, err, ErrTooLarge)
	require.NotErrorIs(t, err, ErrDamaged)
	flipped := bytes.Clone(z)
	flipped[len(z)-6] ^= 1 // checksum
	for name, bad := range map[string][]byte{"header": z[:8], "middle": z[:len(z)/2], "end": z[:len(z)-1], "checksum": flipped, "behind": append(bytes.Clone(z), "more"...)} {
		_, err = Gunzip(bad, 1<<20)
		require.ErrorIs(t, err, ErrDamaged, name)
	}
	got, err = Gunzip(z, 1<<20) // a reader that has failed is in order again
	require.NoError(t, err)
	require.Equal(t, text, got)
}

// 128 MiB of zeros takes no more memory than the limit asks for.
func TestGzipBomb(t *testing.T) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := io.CopyN(w, zeros{}, 128<<20)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	const limit = 1 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = Gunzip(buf.Bytes(), limit)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, ErrTooLarge)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4*limit))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSecret(t *testing.T) {
	bearer, header := NewBearer("s3cret"), NewSecret("x-pmta-secret", "s3cret")
	var none Secret
	for _, tc := range []struct {
		name           string
		h              http.Header
		bearer, header bool
	}{
		{"nothing", http.Header{}, false, false},
		{"bearer", http.Header{"Authorization": {"Bearer s3cret"}}, true, false},
		{"other case of the scheme", http.Header{"Authorization": {"bearer  s3cret "}}, true, false},
		{"other case of the token", http.Header{"Authorization": {"Bearer S3cret"}}, false, false},
		{"part", http.Header{"Authorization": {"Bearer s3cre"}}, false, false},
		{"more", http.Header{"Authorization": {"Bearer s3crets"}}, false, false},
		{"no scheme", http.Header{"Authorization": {"s3cret"}}, false, false},
		{"basic", http.Header{"Authorization": {"Basic s3cret"}}, false, false},
		{"empty", http.Header{"Authorization": {""}}, false, false},
		{"twice", http.Header{"Authorization": {"Bearer no", "Bearer s3cret"}}, false, false},
		{"header", http.Header{"X-Pmta-Secret": {"s3cret"}}, false, true},
		{"header with another value", http.Header{"X-Pmta-Secret": {"secret"}}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.bearer, bearer.Known(tc.h))
			require.Equal(t, tc.header, header.Known(tc.h))
			require.True(t, none.Known(tc.h))
		})
	}
	require.Equal(t, "Bearer", bearer.Challenge())
	require.Empty(t, header.Challenge())
}

func TestOnceRemembers(t *testing.T) {
	o := NewOnce[int, int](2)
	runs := 0
	do := func(key int, keep bool) (int, bool) {
		v, again, ok := o.Do(context.Background(), key, func() (int, bool) { runs++; return 10*key + runs, keep })
		require.True(t, ok)
		return v, again
	}
	expect := func(key int, keep bool, want int, again bool) {
		t.Helper()
		v, a := do(key, keep)
		require.Equal(t, want, v)
		require.Equal(t, again, a)
	}
	expect(1, false, 11, false) // not kept
	expect(1, true, 12, false)
	expect(1, true, 12, true)
	expect(2, true, 23, false)
	expect(3, true, 34, false) // 1 goes
	expect(2, true, 23, true)
	expect(3, true, 34, true)
	expect(1, true, 15, false) // 2 goes
	expect(3, true, 34, true)
	expect(2, true, 26, false)
	require.Len(t, o.done, 2)
	require.Empty(t, o.running)
}

// Many ask for the same at a time: it is done once, and all get the result.
func TestOnceJoins(t *testing.T) {
	o := NewOnce[string, int](4)
	started, release := make(chan struct{}), make(chan struct{})
	work := func() (int, bool) { close(started); <-release; return 7, false }
	var wg sync.WaitGroup
	wg.Go(func() {
		v, again, ok := o.Do(context.Background(), "k", work)
		if v != 7 || again || !ok {
			t.Errorf("the first got %d, %v, %v", v, again, ok)
		}
	})
	<-started
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_, again, ok := o.Do(gone, "k", func() (int, bool) { t.Error("done twice"); return 0, false })
	require.True(t, again)
	require.False(t, ok, "who does not wait gets nothing")
	for range 10 {
		wg.Go(func() {
			v, _, ok := o.Do(context.Background(), "k", func() (int, bool) { return 7, false })
			if v != 7 || !ok {
				t.Errorf("got %d, %v", v, ok)
			}
		})
	}
	close(release)
	wg.Wait()
	require.Empty(t, o.running)
}

// Work that panics leaves nothing behind on which others would wait.
func TestOncePanic(t *testing.T) {
	o := NewOnce[string, int](4)
	require.Panics(t, func() { o.Do(context.Background(), "k", func() (int, bool) { panic("x") }) })
	require.Empty(t, o.running)
	require.Empty(t, o.done)
	v, again, ok := o.Do(context.Background(), "k", func() (int, bool) { return 1, true })
	require.Equal(t, 1, v)
	require.False(t, again)
	require.True(t, ok)
}

func FuzzGunzip(f *testing.F) {
	f.Add(packed(f, []byte("type,timeLogged\nd,1700000000\n")))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 4096
		out, err := Gunzip(b, limit)
		if err == nil && len(out) > limit {
			t.Fatalf("%d bytes", len(out))
		}
		if err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}
