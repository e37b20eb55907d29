// Package convert turns benchmark text into a Report, and a Report into
// Capsem's JSON and into tables. Import goes the other way, from any known
// Capsem JSON to benchmark text.
//
// The text is the Go benchmark format with the comment lines of package
// record; docs/format.md describes it. The JSON is that of Capsem's own tool,
// schema 0.3.0, key for key, with additions that old readers skip;
// docs/schema.json describes it.
//
// The one decision behind it: the reader knows what was expected. A skipped
// benchmark prints nothing and a pattern that matches nothing prints PASS, so
// every operation that the run line announces ends as ok, skipped, failed,
// invalid or missing, and no output of this package leaves one out.
//
// All input is treated as hostile: memory is bounded by the number of distinct
// operations, which is bounded too, and messages contain printable characters
// only. The package reads and writes values; it knows no files, network,
// processes or clocks.
package convert
