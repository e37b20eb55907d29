// Package history keeps runs over time: the texts that were measured, what
// they say as SQL tables, and from those the trend of each operation and the
// points where it changed.
//
// A store is one SQLite file or one PostgreSQL database with the same tables
// (see schema.go and docs/history.md). The texts are the truth; every other
// table is derived from them and can be derived again. A run is one
// invocation of capsem-bench: one or more boots of one build, with labels
// that say which build that was.
//
// History proposes, paired boots decide. Two releases were measured at
// different times and often on different machines, so a change point is a
// reason to measure the two against each other, never a verdict.
package history
