// Package session is the session database: what a sandbox's guest asked the
// host for, one row per request, in SQLite. Tables and columns are those of
// Capsem's session.db, so that its tools read our files and we read its; the
// one addition is duration_us on net_events and mcp_calls, since whole
// milliseconds say little about a call that takes 300 µs.
//
// [Create] gives a [Writer]. It takes rows from the request path without ever
// waiting for the disk: a row goes into a bounded queue, one goroutine writes
// batches of up to 128 rows per transaction, in WAL mode with synchronous
// NORMAL, so a killed process loses at most what was still queued and leaves
// the file whole. A row that finds the queue full is dropped rather than held,
// because a held request would be measured as a slow one; the drops are
// counted, and Close reports them.
//
// [Open] reads a database, also a compressed one and one of another version:
// it looks at which tables and columns there are and reports what is missing.
// A guest decides what is in a database, so nothing in it is trusted: sizes are
// bounded, and [WriteSummary] escapes control characters.
package session
