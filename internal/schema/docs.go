package schema

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// Markdown returns docs/schema.md.
func Markdown() []byte {
	var b bytes.Buffer
	b.WriteString(`<!-- Generated from internal/schema/table.go by go generate. Do not edit. -->
# Fields in three schemas

A record leaves the agent in one of three schemas:

| schema | names | for |
|---|---|---|
| ` + "`otel`" + ` (default) | OpenTelemetry, ` + "`smtp.*`, `pmta.*`" + `; see [fields.md](fields.md) | OTLP, Kafka, Elasticsearch in mapping mode otel |
| ` + "`ecs`" + ` | Elastic Common Schema ` + ECSVersion + ` | Elasticsearch, Kibana, Elastic Security |
| ` + "`splunk_cim`" + ` | Splunk CIM, data model Email | Splunk, Splunk Enterprise Security |

What a standard has no field for keeps a name of our own: below ` + "`pmta`" + ` and
` + "`smtp`" + ` in ECS, with the prefix ` + "`pmta_`" + ` in Splunk. Attributes that are not in
the tables keep their names; in Splunk dots become underscores.
An attribute that already has the name of a field of the schema wins.
` + "`com.splunk.*`" + ` attributes tell the exporter where an event goes and are in no
document.

Times are UTC. In documents of ` + "`otel`" + ` and ` + "`ecs`" + ` the headers, ARF fields and
unknown columns, whose names come from the input, are members of one object
each (` + "`\"pmta.header\": {...}`" + `), which Elasticsearch indexes as flattened.

## What every record has

| | ECS | Splunk CIM |
|---|---|---|
`)
	for i := range rows {
		row := &rows[i]
		if row.From != OfRecord || row.record == recConst {
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Trim(row.Attr, "()"), cells(row.ECS), cells(row.Splunk))
	}
	b.WriteString("| always the same | " + constantCells(ECS) + " | " + constantCells(SplunkCIM) + " |\n")
	b.WriteString("\n| record type | `event.action` | `event.outcome` | CIM `action` |\n|---|---|---|---|\n")
	for i := range events {
		if e := &events[i]; e.Type != acct.TypeUnknown {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Type, e.Action, e.Outcome, e.CIM)
		}
	}
	b.WriteString(`
All of them have the category email and the type info. CIM prescribes delivered,
blocked, quarantined and deleted for ` + "`action`" + `; it has no word for a deferral, a
receipt, a complaint or a late status.

## System log, live state, findings

Everything that is no accounting record has its event name without ` + "`pmta.`" + ` as
` + "`event.action`, CIM `action` and `signature`" + `. It belongs to CIM's data model Alerts, if
to any, and not to Email: the Splunk sourcetype is ` + "`" + sourceTypeLog + "`" + `, not ` + "`pmta:acct`" + `.
` + "`event.kind`" + ` is event: PowerMTA reports, it does not detect.

| event | ` + "`event.category` | `event.type` | `event.outcome` | `pmta.stream`" + ` |
|---|---|---|---|---|
`)
	for i := range events {
		e := &events[i]
		if e.Mail {
			continue
		}
		name := "`" + e.Name + "`"
		if e.Name == "" {
			name = "any other"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, strings.Join(e.Category, ", "), strings.Join(e.Types, ", "), e.Outcome, e.Stream)
	}
	b.WriteString(`
` + "`event.outcome`" + ` is that of the record where it has one (` + "`pmta.outcome`" + `, on sessions).

## Attributes

Type is the type in Elasticsearch: first in ` + "`otel`" + `, then of each ECS field.
A number in parentheses is the rank where several attributes may fill a field:
the lowest that has a value wins. Record types after "on" limit a field; mail is
all accounting records, log all others.

| attribute | type | ECS | Splunk CIM |
|---|---|---|---|
`)
	attributes := func(from Source) {
		for i := range rows {
			row := &rows[i]
			if row.From != from {
				continue
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", row.Attr, row.Type, cells(row.ECS), cells(row.Splunk))
		}
	}
	attributes(Attribute)
	b.WriteString(`
## Attributes whose names depend on the input

| attribute | type | ECS | Splunk CIM |
|---|---|---|---|
`)
	attributes(Family)
	b.WriteString(`
## Attributes of the resource

| attribute | type | ECS | Splunk CIM |
|---|---|---|---|
`)
	attributes(ResourceOf)
	b.WriteString(`
## Choices that are not obvious

* ` + "`email.sender.address`" + ` is the envelope sender, ` + "`email.from.address`" + ` the From
  header. They are not the same.
* ` + "`email.local_id`" + ` is the envelope id, ` + "`email.message_id`" + ` the Message-Id header.
* ` + "`event.duration`" + ` (ns) and CIM ` + "`delay`" + ` (ms), ` + "`duration`" + ` (s) are the time in queue.
* ` + "`related.user`" + ` has no address when the record is redacted
  (` + "`pmta.redaction.key_id`" + `) or the local part is a hash.
* ` + "`error.*`" + ` appears on b, t, tq and rb only. The code of a success is in
  ` + "`smtp.response.code`" + `, its text in ` + "`message`" + `.
* CIM ` + "`status_code`" + ` is the SMTP reply code, or the enhanced status code with
  ` + "`status_code: dsn`" + `.
* An address field takes addresses only: "unknown" and host names are left out.
* Where records are rendered in place (` + "`into: attributes`" + ` of ` + "`mail_schema`" + `), ` + onceNames() + ` are
  attributes of the resource: they tell of the PowerMTA, not of the record.
`)
	return b.Bytes()
}

func cells(fields []Field) string {
	var out []string
	for _, f := range fields {
		s := "`" + f.Name + "`"
		if f.Value != "" {
			s += " = " + f.Value
		}
		if f.Rank > 0 {
			s += fmt.Sprintf(" (%d)", f.Rank)
		}
		if f.Type != "" {
			s += " " + f.Type
		}
		if n := f.Conv.String(); n != "" {
			s += ", " + n
		}
		if w := f.When.String(); w != "" {
			s += ", on " + w
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return "–"
	}
	return strings.Join(out, "<br>")
}

// onceNames lists the fields that are in the resource.
func onceNames() string {
	var names []string
	for i := range rows {
		for _, f := range rows[i].ECS {
			if f.Once {
				names = append(names, "`"+f.Name+"`")
			}
		}
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func constantCells(s Schema) string {
	for i := range rows {
		if rows[i].record == recConst {
			return cells(rows[i].Fields(s))
		}
	}
	return ""
}
