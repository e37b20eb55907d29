// Package guesttest runs the built guest binary as a user does, and holds its
// output, its exit status and what it leaves behind to what they should be.
// It has tests only: the root package holds nothing but benchmarks, and the
// guest binary must not link what these tests need.
package guesttest
