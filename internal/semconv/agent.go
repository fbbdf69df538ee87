package semconv

// Events that the agent itself finds out. Both are WARN and of StreamDiag.
const (
	// EventCoverage is a question that PowerMTA's configuration leaves
	// without an answer.
	EventCoverage = "pmta.coverage"
	// EventReconciliation is a moved accounting file of which PowerMTA
	// counted another number of records than were read.
	EventReconciliation = "pmta.reconciliation.difference"
)

// Coverage.
const (
	// PMTACoverageGap is the stable name of the gap. String.
	// Example: "no_transient".
	PMTACoverageGap = "pmta.coverage.gap"
	// PMTACoverageQuestion is what cannot be answered. String.
	PMTACoverageQuestion = "pmta.coverage.question"
	// PMTACoverageMissing lists the record types and columns that are missing.
	// String array. Example: ["t", "tq"].
	PMTACoverageMissing = "pmta.coverage.missing"
	// PMTACoverageConfig is the <acct-file> block that would close all gaps of
	// the file. String, several lines.
	PMTACoverageConfig = "pmta.coverage.config"
	// PMTACoverageFile is the stream of files that the gap was seen in, a name
	// without date and number. String. Example: "acct.csv".
	PMTACoverageFile = "pmta.coverage.file"
)

// Reconciliation. The file itself is in PMTAAcctFilePath, PMTAAcctFileMovedTo,
// and PowerMTA's count in PMTAAcctFileRecords.
const (
	// PMTAReconciliationOutcome is differs or not_read. String.
	PMTAReconciliationOutcome = "pmta.reconciliation.outcome"
	// PMTAReconciliationEmitted is how many records were sent. Int.
	PMTAReconciliationEmitted = "pmta.reconciliation.emitted"
	// PMTAReconciliationRejected is how many rows went to quarantine. Int.
	PMTAReconciliationRejected = "pmta.reconciliation.rejected"
	// PMTAReconciliationDuplicates is how many rows were left out as copies
	// of another file's. Int.
	PMTAReconciliationDuplicates = "pmta.reconciliation.duplicates"
	// PMTAReconciliationDifference is PowerMTA's count less all of these. Int;
	// above 0, records are missing.
	PMTAReconciliationDifference = "pmta.reconciliation.difference"
)
