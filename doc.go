// Package capsembench holds the benchmarks of capsem-bench. Compiled with
// go test -c they are one static binary that runs inside a Capsem VM, or
// anywhere else on Linux:
//
//	CGO_ENABLED=0 go test -c -trimpath -ldflags='-s -w' -o capsem-bench.test .
//	./capsem-bench.test -test.bench=. -test.count=6
//
// This comment is the catalogue: what there is, by which metric it is
// compared and which way of that is better, and what it needs. A test holds
// it to the code.
//
//	benchmark                           compared by                 needs
//	Disk/op=seq_write/size=256MiB       B/s higher                  a writable directory with room
//	Disk/op=seq_read/size=256MiB        B/s higher                  a writable directory with room
//	Disk/op=rand_write_4k/count=10000   iops higher                 a writable directory with room
//	Disk/op=rand_read_4k/count=10000    iops higher                 a writable directory with room
//	Rootfs/op=seq_read                  B/s higher                  the scan directories
//	Rootfs/op=rand_read_4k/count=5000   iops higher                 the scan directories
//	Startup/cli=python3                 ns/op lower                 python3 in PATH
//	Startup/cli=node                    ns/op lower                 node in PATH
//	Startup/cli=claude                  ns/op lower                 claude in PATH
//	Startup/cli=gemini                  ns/op lower                 gemini in PATH
//	Startup/cli=codex                   ns/op lower                 codex in PATH
//	HTTP/n=50/c=5                       req/s higher, p95-ns lower  the proxy or a network
//	Throughput                          B/s higher                  the proxy or a network
//	Snapshot/files=10/op=create         ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=10/op=list           ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=10/op=changes        ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=10/op=revert         ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=10/op=delete         ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=100/op=create        ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=100/op=list          ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=100/op=changes       ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=100/op=revert        ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=100/op=delete        ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=500/op=create        ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=500/op=list          ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=500/op=changes       ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=500/op=revert        ns/op lower                 snapshots in PATH and its gateway
//	Snapshot/files=500/op=delete        ns/op lower                 snapshots in PATH and its gateway
//
// # Units
//
//	unit        better  meaning
//	ns/op       lower   mean time of one operation
//	B/s         higher  bytes moved per second
//	iops        higher  completed accesses per second
//	req/s       higher  successful requests per second
//	p50-ns      lower   median time of one operation
//	p95-ns      lower   95th percentile of one operation
//	p99-ns      lower   99th percentile of one operation
//	min-ns      lower   fastest operation
//	max-ns      lower   slowest operation
//	open-p50-ns lower   median time to open a file, as part of its first access
//	open-p95-ns lower   95th percentile of that
//	user-ns     lower   user CPU time of one process
//	sys-ns      lower   system CPU time of one process
//	maxrss-B    lower   peak resident memory of one process
//	errors      lower   operations that failed
//
// # The work
//
// One iteration is one pass, fixed work of one operation, and one pass is
// the default (-test.benchtime=1x), so -test.count=N gives N samples. A pass
// sets up, times nothing but the work, and cleans up. ns/op is the mean time
// of one operation of the pass: one file, one 4 KiB access, one start, one
// request, one download, one snapshot call.
//
// Disk works on files of incompressible data with every block allocated, in a
// fresh directory under CAPSEM_BENCH_DIR (default: the home directory). The
// sequential operations move CAPSEM_BENCH_SIZE_MB (256) in blocks of 1 MiB,
// writing ends with one fdatasync inside the timer. The random ones make
// 10,000 accesses of 4 KiB, no block twice, to a file of 64 MiB; a write is
// a write and its fdatasync. Their percentiles are those of single accesses,
// of single blocks for the sequential ones.
//
// Rootfs reads the largest file of the scan directories in blocks of 1 MiB,
// and 4 KiB at 5,000 random places of all their files of at least 4 KiB. As
// in Capsem's own tool a file is opened at its first read, inside the timer,
// its descriptor is kept for the reads that follow, and closing is outside the
// timer. What an open costs is reported besides, as open-p50-ns and open-p95-ns.
// A file that vanished or cannot be read is counted and costs nothing. With a
// limit of open files below the number of files some are opened again; a doubt
// says so.
//
// Startup starts "NAME --version" three times, from before fork to after
// wait. CAPSEM_BENCH_CLIS has other commands in the place of these, with their
// arguments: "python3,mytool --help". Its times are those of the command as PATH finds it, version
// manager and all. maxrss-B is the largest of the three; below some 8 MB
// Linux cannot tell a program from what started it, and a doubt says so.
//
// HTTP makes CAPSEM_BENCH_HTTP_N (50) GETs of CAPSEM_BENCH_HTTP_URL over
// CAPSEM_BENCH_HTTP_C (5) kept connections; percentiles are over the
// successful ones. Redirects are followed, here and in Throughput, within the
// time of their request, and a doubt says so. Throughput downloads CAPSEM_BENCH_THROUGHPUT_URL once and
// checks status, length and digest.
//
// Snapshot calls the snapshots command on a private directory of 4 KiB files.
// The operations of one size share the directory and a checkpoint of it, which
// are made before the timer; an operation that runs alone makes its own. Every
// result is verified after the timer, by the answer in hand where it can tell,
// because a further call costs as much as the one that is measured:
//
//	create   the name in its answer and the slots it says are left; the list
//	         operation that follows, or a call of list
//	list     the checkpoint is there, with its name and at least our files
//	changes  the file that was modified is named, with its size and checkpoint
//	revert   the answer, and the bytes of the file
//	delete   the answer; the slots that the next create says are left, or,
//	         after the last one of a run, a call of list
//
// Load sends requests for CAPSEM_BENCH_DURATION_S (10) seconds at each level of
// CAPSEM_BENCH_CONCURRENCY (1,10,50,200), by protocol:
//
//	http         GETs of CAPSEM_BENCH_MITM_TARGET over kept connections: a name
//	             behind which nothing answers, so the proxy's own work
//	http-new     the same with a connection each; the proxy has the certificate
//	tls          such connections alone, to the end of the handshake
//	tls-mint     the same of a name each that the proxy has to mint a certificate for
//	http-origin  GETs of CAPSEM_BENCH_HTTP_URL over kept connections
//	http-direct  the same past the proxy, at CAPSEM_BENCH_DIRECT; overhead is its
//	             rate beside that of http-origin
//	mcp, mcp-relays, mcp-list, dns
//
// It runs only where a pattern names it, such as -test.bench='Load/^proto=http$'. With CAPSEM_BENCH_RATE requests start on
// a schedule and their times count from when they were due.
//
// Lifecycle, Fork, Parallel and Exec are of whole VMs. The command measures them
// from the host, in the same text, and this binary has no function of them; see
// docs/lifecycle.md.
//
// Cold means proven: everything written back and dropped, then at most 10 % of
// the pages of the files that will be read still in the page cache; the share
// is shown from 1 % on. Root drops the whole cache with its metadata; others
// drop the pages of those files alone. The status of each cold operation says
// cold, warm or unverified. What every system has mapped, such as libc, cannot be dropped
// and is left out of the count. The host of a VM of ours is asked to drop its
// caches too. A cold read is repeated after its timer: one that was not slower
// than that gets a doubt.
//
// # Settings
//
// Places and data come from a generator seeded with CAPSEM_BENCH_SEED (1).
// CAPSEM_BENCH_TIMEOUT (5m) ends a pass that hangs, CAPSEM_BENCH_CLI_TIMEOUT
// (60s) one start, CAPSEM_BENCH_SNAPSHOT_TIMEOUT (30s) one snapshot call. Where
// the sandbox emulates the processor the defaults are five times as long, and
// the run line says so (limit_scale).
//
// A pass in which the process stood still for 2 s or more, because it or its
// machine was stopped, suspended or got no processor, has a doubt; it is invalid
// if that was at least 5 % of the measured time, or if the machine slept.
// SIGINT and SIGTERM clean up and exit with status 130.
//
// The output is the Go benchmark format, which benchstat reads, with comment
// lines for what it has no place for; see docs/format.md.
package capsembench
