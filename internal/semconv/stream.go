package semconv

// PMTAStream is the stream that a record belongs to, as mail engineers call
// them: one of the Stream values below. String. Example: "diag".
const PMTAStream = "pmta.stream"

// Values of PMTAStream.
const (
	StreamAcct   = "acct"   // accounting files
	StreamBounce = "bounce" // accounting files that hold only b and rb
	StreamDiag   = "diag"   // system and configuration events
	StreamPanic  = "panic"  // critical failures, from wherever they are told
)
