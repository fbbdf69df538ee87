// Package kafkaout writes messages to Kafka and says for each of them whether
// the broker has acknowledged it.
//
// It uses segmentio/kafka-go for connections, cluster metadata, TLS, SASL and
// the wire protocol, one level below its Writer: a Request collects messages
// straight in the form in which they are sent (record batches of format
// version 2), and Send delivers them batch by batch. That gives exact control
// of what is sent again, and saves most of the processor time of a Writer.
//
// Messages of a partition are sent in the order in which they were added, one
// batch at a time; a batch that failed holds up the later batches of its
// partition, so that the order within a Request survives every retry. An
// answer that got lost makes a message arrive twice, never not at all.
package kafkaout // import "github.com/otelcol-pmta/otelcol-pmta/internal/kafkaout"
