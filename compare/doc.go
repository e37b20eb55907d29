// Package compare says what changed between two builds, and whether a release
// may ship: boots in, verdicts out.
//
// One observation is one boot, a fresh sandbox. Rounds of one boot share its
// conditions (memory, disk, caches), so they are summarised first, to the mean
// of their middle half, after one warm-up round where there are three or more.
// A test of pooled rounds would report differences between boots as differences
// between builds. An op is compared by its primary metric of the catalogue, in
// log and turned so that larger is worse. The effect is the stratified
// Hodges-Lehmann shift with the interval that inverts the exact stratified rank
// test (van Elteren 1960). A regression is found by the t of clipped values
// against the largest of all ops under permutations (Westfall and Young 1993).
//
// The one decision behind it: what cannot be decided is never a pass. Boots
// whose order is not proven to have alternated, too few boots for the number
// of metrics, different workloads, failed or vanished ops each have an answer
// of their own, and none of them is "no regression".
//
//	ReadBoots  bytes -> boots         benchmark text and Capsem's JSON
//	Judge      boots -> Comparison    findings, one a metric
//	Gate       Comparison -> Decision the exit status and its reasons
//	Write*     Comparison -> text, Markdown, JSON, CSV
//
// The package knows no files, processes or clocks.
//
// Limits: the test assumes that boots of one stage are exchangeable, which
// interleaving provides and nothing else does; small p-values need boots, and
// CanReject says how many.
package compare
