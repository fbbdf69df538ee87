#!/bin/sh
# The tests against a real Kafka broker and a real Elasticsearch node, both
# fetched with Maven. E2E_KAFKA=host:port and E2E_ELASTICSEARCH=url use servers
# that already run (Kafka's own consumer still reads them). Ends with 3 if a tool
# is missing, which make reports as "Error 3"; --check only looks.
set -u
cd "$(dirname "$0")/.."
missing=
for tool in java mvn; do
	command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
	echo "make e2e: missing:$missing (it needs Java 17 and Maven; make test needs neither)" >&2
	exit 3
fi
major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
if [ "${major:-0}" -lt 17 ]; then
	echo "make e2e: java is version ${major:-unknown}, it needs 17 or newer" >&2
	exit 3
fi
[ "${1:-}" = --check ] && exit 0
exec "${GO:-go}" test -tags e2e -run 'RealKafka|RealElastic' -timeout 30m -v ./e2e/
