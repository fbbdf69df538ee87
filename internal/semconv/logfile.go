package semconv

// Where a record was read.
const (
	// LogFileName is the base name of the file, without .gz. String.
	LogFileName = "log.file.name"
	// LogFilePath is the path at which the file was found first. String.
	LogFilePath = "log.file.path"
	// LogFileOffset is the position of the record in the (decompressed) file,
	// in bytes. Int.
	LogFileOffset = "log.file.offset"
	// LogRecordOriginal is the record as it was read, without its line end.
	// String. Personal data.
	LogRecordOriginal = "log.record.original"
)
