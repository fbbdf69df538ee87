// Package splunk holds the Splunk add-on; here are its tests.
package splunk

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	addon  = "TA-otelcol-pmta/default"
	golden = "../internal/schema/testdata/golden/splunk_cim"
)

// conf is a .conf file: stanza, key, value.
type conf map[string]map[string]string

func readConf(t *testing.T, name string) conf {
	t.Helper()
	f, err := os.Open(filepath.Join(addon, name))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	c := conf{}
	var stanza map[string]string
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			name := strings.TrimSuffix(line[1:], "]")
			require.NotContains(t, c, name, "line %d: twice", n)
			stanza = map[string]string{}
			c[name] = stanza
		default:
			key, value, ok := strings.Cut(line, " = ")
			require.True(t, ok && stanza != nil, "line %d of %s", n, name)
			require.NotContains(t, stanza, key, "line %d of %s: twice", n, name)
			stanza[key] = value
		}
	}
	require.NoError(t, sc.Err())
	require.NotEmpty(t, c)
	return c
}

// documents returns what is in golden files.
func documents(t *testing.T, pattern string) (docs []map[string]any) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var doc map[string]any
		require.NoError(t, json.Unmarshal(data, &doc))
		docs = append(docs, doc)
	}
	return docs
}

// written returns, by record type, the fields that the agent writes.
func written(t *testing.T) map[string]map[string]any {
	t.Helper()
	byType := map[string]map[string]any{}
	for _, doc := range documents(t, golden+"/*.json") {
		typ := doc["pmta_record_type"].(string)
		if byType[typ] == nil {
			byType[typ] = map[string]any{}
		}
		for k, v := range doc {
			byType[typ][k] = v
		}
	}
	require.Len(t, byType, 8, "one of each record type")
	return byType
}

var (
	macroCall = regexp.MustCompile("`([^`]+)`")
	valueList = regexp.MustCompile(`\bIN \(([^)]*)\)`)
	inList    = regexp.MustCompile(`(\w+) IN \(([^)]*)\)`)
	equals    = regexp.MustCompile(`(\w+)=("[^"]*"|[\w:]+)`)
	asName    = regexp.MustCompile(`\bAS (\w+)`)
	word      = regexp.MustCompile(`\w+`)
)

// Words of the search language that the add-on uses, and fields that Splunk
// itself gives an event.
var language = strings.Fields(`index sourcetype eventtype _time
	dedup stats count latest earliest BY AS IN sort convert ctime fillnull value where OR`)

// fieldsOf returns the words of a search that are neither language, nor a
// value, nor a name that the search makes.
func fieldsOf(search string) []string {
	search = macroCall.ReplaceAllString(search, " ")
	search = valueList.ReplaceAllString(search, " ")
	search = equals.ReplaceAllString(search, "$1 ")
	made := []string{}
	for _, m := range asName.FindAllStringSubmatch(search, -1) {
		made = append(made, m[1])
	}
	search = asName.ReplaceAllString(search, " ")
	var fields []string
	for _, w := range word.FindAllString(search, -1) {
		if !slices.Contains(language, w) && !slices.Contains(made, w) {
			fields = append(fields, w)
		}
	}
	return fields
}

func TestFieldsOf(t *testing.T) {
	require.Equal(t, []string{"action", "pmta_x", "b", "b", "c"},
		fieldsOf("`m` eventtype=e action=blocked pmta_x IN (d, e) | stats count latest(b) AS made BY b, c | convert ctime(made)"))
}

// Every field that the add-on searches by is one that the agent writes in
// events of that sourcetype, and every value it asks for is one that occurs.
func TestFieldsExist(t *testing.T) {
	type written struct {
		fields map[string]bool
		values map[string]map[string]bool
	}
	read := func(docs []map[string]any) written {
		w := written{map[string]bool{}, map[string]map[string]bool{"action": {}, "pmta_record_type": {}, "severity": {}}}
		for _, doc := range docs {
			for name := range doc {
				w.fields[name] = true
			}
			for name, set := range w.values {
				if v, ok := doc[name].(string); ok {
					set[v] = true
				}
			}
		}
		return w
	}
	mail, log := read(documents(t, golden+"/*.json")), read(documents(t, golden+"/log/*.json"))
	mail.values["pmta_category_type"] = map[string]bool{"hard": true, "soft": true, "none": true}
	require.NotContains(t, log.fields, "pmta_record_type")
	checked := 0
	check := func(where, search string) {
		of := mail
		if strings.Contains(search, "pmta:log") || strings.Contains(search, "eventtype=pmta_log") || strings.Contains(search, "eventtype=pmta_error") {
			of = log
		}
		for _, f := range fieldsOf(search) {
			require.True(t, of.fields[f], "%s: the agent writes no field %s", where, f)
			checked++
		}
		for _, m := range equals.FindAllStringSubmatch(search, -1) {
			if known := of.values[m[1]]; known != nil {
				require.True(t, known[strings.Trim(m[2], `"`)], "%s: %s", where, m[0])
			}
		}
		for _, m := range inList.FindAllStringSubmatch(search, -1) {
			for v := range strings.SplitSeq(m[2], ", ") {
				require.True(t, of.values[m[1]][v], "%s: %s has no value %s", where, m[1], v)
			}
		}
	}
	for name, s := range readConf(t, "eventtypes.conf") {
		check("event type "+name, s["search"])
	}
	for name, s := range readConf(t, "macros.conf") {
		check("macro "+name, s["definition"])
	}
	require.Greater(t, checked, 25)
}

// Macros, event types and tags refer to each other rightly.
func TestReferences(t *testing.T) {
	macros, types, tags := readConf(t, "macros.conf"), readConf(t, "eventtypes.conf"), readConf(t, "tags.conf")
	readConf(t, "app.conf")
	searches := map[string]string{}
	for name, s := range types {
		searches["event type "+name] = s["search"]
		if strings.Contains(s["search"], "`pmta_index` sourcetype=\"pmta:log\"") {
			// What is no mail must not get into the data model Email.
			require.NotContains(t, tags["eventtype="+name], "email", name)
			continue
		}
		require.Contains(t, s["search"], "`pmta_index` sourcetype=\"pmta:acct\"", name)
		require.Contains(t, tags, "eventtype="+name, "an event type without a tag is in no data model")
		require.Equal(t, "enabled", tags["eventtype="+name]["email"], "%s: every dataset of the data model needs the tag email", name)
	}
	for name, s := range macros {
		searches["macro "+name] = s["definition"]
	}
	for where, search := range searches {
		for _, m := range macroCall.FindAllStringSubmatch(search, -1) {
			require.Contains(t, macros, m[1], where)
		}
		for _, m := range regexp.MustCompile(`eventtype=(\w+)`).FindAllStringSubmatch(search, -1) {
			require.Contains(t, types, m[1], where)
		}
	}
	for stanza := range tags {
		name, ok := strings.CutPrefix(stanza, "eventtype=")
		require.True(t, ok, stanza)
		require.Contains(t, types, name)
	}
	require.Equal(t, map[string]string{"email": "enabled", "delivery": "enabled"}, tags["eventtype=pmta_delivery"])
	require.Equal(t, map[string]string{"alert": "enabled", "error": "enabled"}, tags["eventtype=pmta_error"])
}

// What the data model calls required is there on every type of record that is
// tagged as a delivery, but for what that type does not know.
func TestRequiredFields(t *testing.T) {
	data, err := os.ReadFile("../internal/schema/testdata/cim-email.csv")
	require.NoError(t, err)
	byType := written(t)
	types := regexp.MustCompile(`IN \(([^)]*)\)`).FindStringSubmatch(readConf(t, "eventtypes.conf")["pmta_delivery"]["search"])
	require.NotNil(t, types)
	unknown := map[string][]string{ // a queue has no message, a late report no connection from us
		"tq": {"internal_message_id", "message_id", "recipient", "recipient_count", "recipient_domain", "return_addr", "src_user", "src_user_domain"},
		"rb": {"src"},
		"rs": {"src"},
	}
	required := 0
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(line, ",")
		if cells[0] != "All Email" || cells[2] != "required" {
			continue
		}
		required++
		for _, typ := range word.FindAllString(types[1], -1) {
			if slices.Contains(unknown[typ], cells[1]) {
				require.NotContains(t, byType[typ], cells[1], "%s knows it after all", typ)
			} else {
				require.Contains(t, byType[typ], cells[1], typ)
			}
		}
	}
	require.Greater(t, required, 10)
}

// The add-on knows what the shipped configuration sends.
func TestConfigurationAgrees(t *testing.T) {
	for _, file := range []string{"splunk-hec.yaml", "combined.yaml"} {
		data, err := os.ReadFile("../config/" + file)
		require.NoError(t, err)
		require.Contains(t, string(data), "sourcetype: pmta:acct ")
		// The other one is mail_schema's.
		require.Equal(t, []string{"pmta:acct", "pmta:log"}, slices.Sorted(maps.Keys(readConf(t, "props.conf"))))
		index, ok := strings.CutPrefix(readConf(t, "macros.conf")["pmta_index"]["definition"], "index=")
		require.True(t, ok)
		require.Contains(t, string(data), "index: ${env:SPLUNK_INDEX:-"+index+"}")
		require.Contains(t, string(data), "schema: splunk_cim\n    into: body")
	}
}
