package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var gapID = regexp.MustCompile(`(?m)^  ([a-z-]+) {2,}\S.*\n +missing: (.*)$`)

// gaps returns what is missing by the id of the question.
func gaps(text string) map[string]string {
	out := map[string]string{}
	for _, m := range gapID.FindAllStringSubmatch(text, -1) {
		out[m[1]] = m[2]
	}
	return out
}

// The block that coverage prints is given to the simulated PowerMTA, and what
// that writes then has an answer for everything. Only what no <acct-file>
// block can give is left.
func TestCoverageBlockClosesTheGaps(t *testing.T) {
	for name, args := range map[string][]string{
		"default":    {"--types", "d,b"},
		"restricted": {"--types", "d,b,t", "--fields", "d:timeLogged,rcpt,dsnDiag;b:timeLogged,rcpt,dsnDiag;t:timeLogged,rcpt,dsnDiag"},
		"queues":     {"--types", "tq"},
		"complaints": {"--types", "f,rb"},
		"headers":    {"--types", "d,b,f", "--header", "X-Stream", "--crlf"},
		"json":       {"--types", "d,b", "--json"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			records := "3000"
			if name == "queues" || name == "complaints" {
				records = "400"
			}
			code, _, errs := call(context.Background(), append([]string{"simulate", "--dir", filepath.Join(dir, "before"), "--records", records}, args...)...)
			require.Zero(t, code, errs)
			files, err := filepath.Glob(filepath.Join(dir, "before", "*"))
			require.NoError(t, err)
			code, out, errs := call(context.Background(), append([]string{"coverage", "--check"}, files...)...)
			require.Equal(t, exitFailure, code, errs)
			require.Empty(t, errs)
			before := gaps(out)
			require.Greater(t, len(before), 5, out)

			// As PMTA would: each block is a file of its own.
			var after []string
			blocks := regexp.MustCompile(`(?s)<acct-file (\S+)>\n(.*?)</acct-file>`).FindAllStringSubmatch(out, -1)
			require.NotEmpty(t, blocks, out)
			for i, b := range blocks {
				var types string
				var fields []string
				for line := range strings.Lines(b[2]) {
					w := strings.Fields(line)
					switch {
					case w[0] == "records":
						types = w[1]
					case w[0] == "record-fields":
						fields = append(fields, w[1]+":"+w[2])
					default:
						require.Equal(t, "#", w[0], line)
					}
				}
				d := filepath.Join(dir, "after", string(rune('a'+i)))
				sim := []string{"simulate", "--dir", d, "--records", "3000", "--mix", "d=60,t=15,b=10,tq=5,rb=3,rs=3,f=4", "--types", types, "--fields", strings.Join(fields, ";")}
				if strings.HasSuffix(b[1], ".json") {
					sim = append(sim, "--json")
				}
				code, _, errs := call(context.Background(), sim...)
				require.Zero(t, code, errs)
				name := filepath.Base(b[1])
				found, err := filepath.Glob(filepath.Join(d, "*"))
				require.NoError(t, err)
				for j, f := range found { // the simulator's file is acct.csv; here it is what the block says
					ext := filepath.Ext(name)
					to := filepath.Join(d, strings.TrimSuffix(name, ext)+"-2026-01-31-000"+string(rune('0'+j))+ext)
					require.NoError(t, os.Rename(f, to))
					after = append(after, to)
				}
			}
			code, out, errs = call(context.Background(), append([]string{"coverage"}, after...)...)
			require.Zero(t, code, errs)
			left := gaps(out)
			delete(left, "count")
			delete(left, "complaint-recipient") // takes map-header-to-field, which the simulator does not know
			require.Empty(t, left, out)
		})
	}
}

func TestCoverageInput(t *testing.T) {
	const rows = "type,timeLogged,rcpt\nd,2026-01-31 10:00:00+0000,a@example.com\nb,2026-01-31 11:00:00+0000,b@example.com\n"
	dir := t.TempDir()
	plain := filepath.Join(dir, "acct-2026-01-31-0000.csv")
	require.NoError(t, os.WriteFile(plain, []byte(rows), 0o600))
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(rows))
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(plain+".gz", b.Bytes(), 0o600))

	code, fromFile, errs := call(context.Background(), "coverage", plain)
	require.Zero(t, code, errs)
	require.Contains(t, fromFile, "acct.csv: 3 columns; records d 1, b 1")
	require.Contains(t, fromFile, "<acct-file /var/log/pmta/acct.csv>")
	code, fromGz, _ := call(context.Background(), "coverage", plain+".gz")
	require.Zero(t, code)
	require.Equal(t, fromFile, fromGz)
	var out, stderr bytes.Buffer
	code = run(context.Background(), []string{"coverage", "-", "--check"}, stdio{strings.NewReader(rows), &out, &stderr})
	require.Equal(t, exitFailure, code)
	require.Equal(t, fromFile, out.String())

	out.Reset()
	code = run(context.Background(), []string{"coverage", "--log-dir", "/opt/pmta", "-"}, stdio{strings.NewReader("type,timeLogged,rcpt\n"), &out, &stderr})
	require.Zero(t, code)
	require.Contains(t, out.String(), "<acct-file /opt/pmta/acct.csv>")
	require.Contains(t, out.String(), "No record seen")

	code, out2, errs := call(context.Background(), "coverage", plain, filepath.Join(dir, "nowhere.csv"))
	require.Equal(t, exitFailure, code)
	require.Contains(t, errs, "nowhere.csv")
	require.Equal(t, fromFile, out2)

	code, _, errs = call(context.Background(), "coverage")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "Usage: pmtalog coverage")

	out.Reset()
	stderr.Reset()
	code = run(context.Background(), []string{"coverage", "-"}, stdio{strings.NewReader(rows + "d,noon,x\n"), &out, &stderr})
	require.Zero(t, code)
	require.Contains(t, stderr.String(), "bad_time")
	require.Contains(t, stderr.String(), "1 pieces of the input are no records")
}
