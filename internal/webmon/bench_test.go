package webmon

import (
	"fmt"
	"strings"
	"testing"
)

// A list of 500 queues, each with ten errors: a bad day of a large server.
func BenchmarkParseList(b *testing.B) {
	const text = `Error: "421 4.7.28 Our system has detected an unusual rate of mail" while connected from o01.mk.mailer-north.example (203.0.113.10) to mx.example (198.51.100.1)`
	var j, x strings.Builder
	for i := range 500 {
		fmt.Fprintf(&j, `{"name":"d%d.example/v1","rcp":%d,"kb":12.5,"conn":1,"mode":"backoff","errors":[%s]},`, i, i,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"time":"2026-01-31 10:58:30","text":%q},`, text), 10), ","))
		fmt.Fprintf(&x, `<queue><name>d%d.example/v1</name><rcp>%d</rcp><kb>12.5</kb><conn>1</conn><mode>backoff</mode>%s</queue>`, i, i,
			strings.Repeat(`<event><type>error</type><time>2026-01-31 10:58:30</time><text>`+text+`</text></event>`, 10))
	}
	for name, page := range map[string]string{
		"JSON": `{"data":{"queues":[` + strings.TrimSuffix(j.String(), ",") + `],"totalRcp":1}}`,
		"XML":  `<rsp><data>` + x.String() + `<totalRcp>1</totalRcp></data><succ/></rsp>`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				l, err := ParseList([]byte(page), Queues, utc)
				if err != nil || len(l.Rows) != 500 {
					b.Fatal(err)
				}
			}
		})
	}
}
