// Package reference sets tools that this project did not write to the work of
// the guest binary: fio and dd to its disk passes, hyperfine to its cold
// starts, wrk and hey to its requests, curl to its download, mitmproxy, squid and
// nginx to the proxy of the stand-in host, benchstat to its text. The tables of
// tools/duels compare the figures.
//
// The one decision behind it: a figure is never compared with one of another
// minute. The two sides take turns, in the order A B B A, and what counts is
// the median of the ratios of the pairs; a machine that is slow for a while
// is then slow for both. Both sides do the same work on the same bytes: the
// guest binary's own file is kept by a second link and given to fio, and all
// HTTP clients ask one origin.
package reference
