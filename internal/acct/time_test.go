package acct

import (
	"testing"
	"time"
)

// stdTime reads s with package time, in the forms that it can express.
func stdTime(s string) (ns int64, ok bool) {
	for _, layout := range []string{
		"2006-01-02 15:04:05-0700", "2006-01-02 15:04:05-07:00", "2006-01-02 15:04:05",
		"2006-01-02T15:04:05Z07:00", "01/02/2006 15:04:05-0700", "01/02/2006 15:04:05",
	} {
		t, err := time.ParseInLocation(layout, s, testOptions.Location)
		if err == nil && t.Format(layout) == s && t.Year() >= 1970 && t.Year() <= 2261 {
			return t.UnixNano(), true
		}
	}
	return 0, false
}

func TestTimeAgainstStd(t *testing.T) {
	d := NewDecoder(testOptions)
	zones := []*time.Location{time.UTC, time.FixedZone("", -3*3600-1800), time.FixedZone("", 14*3600)}
	for i := range 20000 {
		at := time.Unix(int64(i)*97711+int64(i%7)*86399, 0).In(zones[i%3])
		for _, layout := range []string{"2006-01-02 15:04:05-0700", "01/02/2006 15:04:05-0700", "2006-01-02T15:04:05Z07:00"} {
			s := at.Format(layout)
			if got, ok := d.parseTime(s); !ok || got != at.UnixNano() {
				t.Fatalf("%s: %d %v, want %d", s, got, ok, at.UnixNano())
			}
		}
	}
}

// Without a zone the offset follows the location over a change of the clocks.
func TestTimeLocation(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Skip("no time zone data:", err)
	}
	d := NewDecoder(Options{Location: rome})
	for s, want := range map[string]string{
		"2026-03-29 01:59:59": "2026-03-29T00:59:59Z",
		"2026-03-29 03:00:00": "2026-03-29T01:00:00Z",
		"2026-10-25 04:00:00": "2026-10-25T03:00:00Z",
	} {
		got, ok := d.parseTime(s)
		if g := time.Unix(0, got).UTC().Format(time.RFC3339); !ok || g != want {
			t.Errorf("%s: %s, want %s", s, g, want)
		}
	}
}
