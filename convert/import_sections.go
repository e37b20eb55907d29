package convert

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
)

const mib = 1 << 20

// tenth is half of the tenth of a ms to which Capsem rounds, in ns.
const tenth = 0.05e6

// Doubts about figures of Capsem's tool: what it did not do or not check.
const (
	doubtZeros     = "the data written was all zeros"
	doubtSparse    = "read from a sparse file: this is memory, not the disk"
	doubtOpen      = "includes opening the files"
	doubtExit      = "the exit status of the command was not checked"
	doubtOK        = "success is the exit status alone"
	doubtTruncated = "success is the exit status alone; the output may have been cut at 5000 bytes"
	doubtTenth     = "shorter than the resolution of the file, 0.1 ms"
)

// newSamples returns the one round of an operation.
func newSamples() record.Samples {
	return record.Samples{Type: record.TypeSamples, Round: 1, Metrics: make(map[string]float64)}
}

// unverified is the status of a cold operation: the cache was dropped, and
// nobody looked whether that helped.
func unverified(doubts ...string) record.Status {
	return record.Status{Cache: record.CacheUnverified, Dropped: "drop_caches", Doubts: doubts}
}

// measured settles the status of an operation by its time: what took no time
// at all was not measured.
func measured(s record.Samples, st record.Status) record.Status {
	if s.ElapsedNS == 0 {
		st.Status, st.Reason = record.Invalid, doubtTenth
	}
	return st
}

func (im *importer) disk(o object) {
	cat := &record.Category{Type: record.TypeCategory, Category: string(catalogue.Disk), Directory: o.str("directory"), SizeMB: int(o.count("size_mb"))}
	im.cats[catalogue.Disk] = cat
	doubts := map[string]record.Status{
		"seq_write":     {Doubts: []string{doubtZeros}},
		"seq_read":      unverified(),
		"rand_write_4k": {},
		"rand_read_4k":  unverified(doubtSparse),
	}
	for _, op := range catalogue.Select(catalogue.Ops(catalogue.Settings{SizeMB: cat.SizeMB}), catalogue.Disk) {
		key := op.Key("op")
		if !o.has(key) {
			im.absent = append(im.absent, op.Name)
			continue
		}
		sub := o.object(key)
		if im.noMeasurement(sub, op.Category, op.Name) {
			continue
		}
		im.takeSamples(sub, op.ID)
		var s record.Samples
		name := op.Name
		if op.Count > 1 {
			s = randomAccess(sub)
			name = fmt.Sprintf("Disk/op=%s/count=%d", key, s.Count)
		} else {
			s = sequential(sub, "")
		}
		im.add(op.Category, name, s, measured(s, doubts[key]))
		sub.done()
	}
}

// noMeasurement handles the object of an operation that says why there is no
// figure.
func (im *importer) noMeasurement(o object, c catalogue.Category, name string) bool {
	st, reason, ok := o.outcome()
	if !ok {
		return false
	}
	o.optCount("count") // rootfs writes {"count": 0, "error": ...}
	im.add(c, name, record.Samples{}, record.Status{Status: st, Reason: reason})
	o.done()
	return true
}

// sequential reads {file?, size_bytes, block_size, duration_ms,
// throughput_mbps}: one pass over a file, which fileKey names if not "".
func sequential(o object, fileKey string) record.Samples {
	s := newSamples()
	if fileKey != "" {
		s.File = o.str(fileKey)
	}
	s.Count, s.Bytes, s.Block = 1, o.count("size_bytes"), o.count("block_size")
	s.ElapsedNS = o.millis("duration_ms")
	mbps := o.float("throughput_mbps")
	s.Metrics["ns/op"] = float64(s.ElapsedNS)
	s.Metrics["B/s"] = mbps * mib
	s.ElapsedNS = unrounded(s.ElapsedNS, tenth, rate{float64(s.Bytes) / mib, mbps, 1})
	return s
}

// randomAccess reads {count, files_sampled?, block_size, duration_ms, iops,
// throughput_mbps}.
func randomAccess(o object) record.Samples {
	s := newSamples()
	s.Count, s.Block, s.Files = o.count("count"), o.count("block_size"), o.optCount("files_sampled")
	s.Bytes = int64(min(float64(s.Count)*float64(s.Block), maxCount))
	s.ElapsedNS = o.millis("duration_ms")
	mbps, iops := o.float("throughput_mbps"), o.float("iops")
	s.Metrics["ns/op"] = perOp(s)
	s.Metrics["B/s"] = mbps * mib
	s.Metrics["iops"] = iops
	s.ElapsedNS = unrounded(s.ElapsedNS, tenth, rate{float64(s.Bytes) / mib, mbps, 1}, rate{float64(s.Count), iops, 1})
	return s
}

// perOp is the mean time of one operation in ns.
func perOp(s record.Samples) float64 {
	return float64(s.ElapsedNS) / float64(max(s.Count, 1))
}

func (im *importer) rootfs(o object) {
	const c = catalogue.Rootfs
	im.cats[c] = &record.Category{
		Type: record.TypeCategory, Category: string(c), ScanDirs: o.strs("scan_dirs"),
		LargestFile: o.optStr("largest_file"), LargestFileSize: o.optCount("largest_file_size"), FilesFound: o.optCount("files_found"),
	}
	seq, random := "Rootfs/op=seq_read", fmt.Sprintf("Rootfs/op=rand_read_4k/count=%d", catalogue.RootfsRandCount)
	if !o.has("seq_read") {
		im.absent = append(im.absent, seq)
	} else if sub := o.object("seq_read"); !im.noMeasurement(sub, c, seq) {
		im.takeSamples(sub, "rootfs/seq_read")
		s := sequential(sub, "file")
		im.add(c, seq, s, measured(s, unverified()))
		sub.done()
	}
	if !o.has("rand_read_4k") {
		im.absent = append(im.absent, random)
	} else if sub := o.object("rand_read_4k"); !im.noMeasurement(sub, c, random) {
		im.takeSamples(sub, "rootfs/rand_read_4k")
		s := randomAccess(sub)
		im.add(c, fmt.Sprintf("Rootfs/op=rand_read_4k/count=%d", s.Count), s, measured(s, unverified(doubtOpen)))
		sub.done()
	}
	im.rootfsExtras(o)
}

// rootfsExtras reads the operations that Capsem added later. Their names are
// not in the catalogue. The number of entries is not part of the name of
// metadata_stat: like the largest file it follows the image, and its figures
// are per entry.
func (im *importer) rootfsExtras(o object) {
	const c = catalogue.Rootfs
	if o.has("large_binary_seq_read") {
		im.largeBinaries(o.object("large_binary_seq_read"))
	}
	if o.has("small_js_read") {
		if sub := o.object("small_js_read"); !im.noMeasurement(sub, c, "Rootfs/op=small_js_read") {
			s := newSamples()
			s.Count, s.Files, s.Bytes = sub.count("count"), sub.count("files_sampled"), sub.count("bytes_read")
			s.ElapsedNS = sub.millis("duration_ms")
			s.Metrics["ns/op"] = perOp(s)
			s.Metrics["iops"] = sub.float("ops_per_sec")
			s.Metrics["B/s"] = sub.float("throughput_mbps") * mib
			im.add(c, fmt.Sprintf("Rootfs/op=small_js_read/count=%d", s.Count), s, measured(s, record.Status{}))
			sub.done()
		}
	}
	if o.has("metadata_stat") {
		if sub := o.object("metadata_stat"); !im.noMeasurement(sub, c, "Rootfs/op=metadata_stat") {
			s := newSamples()
			s.Count, s.Files, s.Failed = sub.count("entries"), sub.count("files"), sub.count("errors")
			dirs, links := sub.count("dirs"), sub.count("symlinks")
			s.ElapsedNS = sub.millis("duration_ms")
			s.Metrics["ns/op"] = perOp(s)
			s.Metrics["iops"] = sub.float("stats_per_sec")
			s.Metrics["errors"] = float64(s.Failed)
			st := record.Status{Doubts: []string{fmt.Sprintf("%d files, %d directories, %d symlinks", s.Files, dirs, links)}}
			im.add(c, "Rootfs/op=metadata_stat", s, measured(s, st))
			sub.done()
		}
	}
}

// largeBinaries reads large_binary_seq_read: a cold and a warm pass over each
// of a few files, and the totals.
func (im *importer) largeBinaries(o object) {
	const c, prefix = catalogue.Rootfs, "Rootfs/op=large_binary_seq_read"
	if im.noMeasurement(o, c, prefix) {
		return
	}
	warm := record.Status{Cache: record.CacheWarm}
	seen := make(map[string]int)
	for _, file := range o.objects("files") {
		whole := file.str("path")
		file.count("size_bytes") // each pass repeats it
		name := slug(path.Base(whole))
		if seen[name]++; seen[name] > 1 {
			name += "." + strconv.Itoa(seen[name])
		}
		for _, pass := range []string{"cold", "warm"} {
			sub := file.object(pass)
			s := sequential(sub, "file")
			st := warm
			if pass == "cold" {
				st = unverified()
			}
			im.add(c, prefix+"/file="+name+"/cache="+pass, s, measured(s, st))
			sub.done()
		}
		file.done()
	}
	count, bytes := o.count("count"), o.count("bytes_read")
	for _, pass := range []string{"cold", "warm"} {
		s := newSamples()
		s.Count, s.Bytes, s.Files, s.Block = 1, bytes, count, catalogue.SeqBlock
		s.ElapsedNS = o.millis(pass + "_duration_ms")
		s.Metrics["ns/op"] = float64(s.ElapsedNS)
		s.Metrics["B/s"] = o.float(pass+"_throughput_mbps") * mib
		st := warm
		if pass == "cold" {
			st = unverified()
		}
		im.add(c, fmt.Sprintf("%s/cache=%s/count=%d", prefix, pass, count), s, measured(s, st))
	}
	o.done()
}

func (im *importer) startup(o object) {
	const c = catalogue.Startup
	runs := o.count("runs_per_command")
	im.cats[c] = &record.Category{Type: record.TypeCategory, Category: string(c), RunsPerCommand: int(min(runs, maxNodes))}
	commands := o.object("commands")
	for _, cli := range catalogue.CLIs() {
		if !commands.has(cli) {
			im.absent = append(im.absent, "Startup/cli="+cli)
		}
	}
	for _, cli := range commands.keys() {
		im.command(commands.object(cli), cli, runs)
	}
}

// command reads one command's starts. The timings are the samples of one
// observation, as the guest's three starts are.
func (im *importer) command(o object, cli string, runs int64) {
	name := "Startup/cli=" + slug(cli)
	argv := o.strs("command")
	if st, reason, ok := o.outcome(); ok {
		im.add(catalogue.Startup, name, record.Samples{}, record.Status{Status: st, Reason: reason, Command: argv})
		o.done()
		return
	}
	im.takeSamples(o, "startup/"+cli)
	s := newSamples()
	s.Command, s.Values = argv, o.millisList("timings_ms")
	s.Count = int64(len(s.Values))
	for _, ns := range s.Values {
		s.ElapsedNS += ns
	}
	s.Metrics["ns/op"] = float64(o.millis("mean_ms"))
	s.Metrics["min-ns"] = float64(o.millis("min_ms"))
	s.Metrics["max-ns"] = float64(o.millis("max_ms"))
	st := unverified(doubtExit)
	st.Command = argv
	if s.Count < runs {
		s.Failed = runs - s.Count
		st.Doubts = append(st.Doubts, fmt.Sprintf("only %d of %d starts were timed", s.Count, runs))
	}
	st = measured(s, st)
	if s.Count == 0 {
		st.Status, st.Reason = record.Failed, "no start was timed"
	}
	im.add(catalogue.Startup, name, s, st)
	o.done()
}

func (im *importer) snapshot(o object) {
	const c = catalogue.Snapshot
	im.cats[c] = &record.Category{Type: record.TypeCategory, Category: string(c)}
	var sizes []int
	for _, key := range o.keys() {
		digits, ok := strings.CutSuffix(key, "_files")
		n, err := strconv.Atoi(digits)
		if !ok || err != nil || n < 0 || strconv.Itoa(n) != digits {
			continue // done complains about it
		}
		sizes = append(sizes, n)
	}
	slices.SortFunc(sizes, cmp.Compare[int])
	for _, n := range catalogue.SnapshotFiles() {
		if !slices.Contains(sizes, n) {
			for _, op := range catalogue.SnapshotOps() {
				im.absent = append(im.absent, fmt.Sprintf("Snapshot/files=%d/op=%s", n, op))
			}
		}
	}
	for _, n := range sizes {
		im.snapshotSize(o.object(fmt.Sprintf("%d_files", n)), n)
	}
}

// snapshotSize reads the five calls at one number of files.
func (im *importer) snapshotSize(o object, files int) {
	im.snapshotSamples(o, files)
	for _, op := range catalogue.SnapshotOps() {
		name := fmt.Sprintf("Snapshot/files=%d/op=%s", files, op)
		if !o.has(op+"_ms") && !o.has(op+"_ok") {
			im.absent = append(im.absent, name)
			continue
		}
		s := newSamples()
		if !o.has(op+"_ms") && im.own.present {
			o.bool(op + "_ok") // never ran; capsem_bench says why
			continue
		}
		s.ElapsedNS = o.millis(op + "_ms")
		s.Values = []int64{s.ElapsedNS}
		s.Metrics["ns/op"] = float64(s.ElapsedNS)
		st := record.Status{Doubts: []string{doubtOK}}
		if op == "list" || op == "changes" {
			st.Doubts = []string{doubtTruncated}
		}
		if o.bool(op + "_ok") {
			s.Count = 1
			st = measured(s, st)
		} else {
			s.Failed = 1
			st.Status, st.Reason = record.Failed, "the call failed or timed out"
		}
		im.add(catalogue.Snapshot, name, s, st)
	}
	o.done()
}

func (im *importer) snapshotSamples(o object, files int) {
	if !im.own.present || !o.has("samples") {
		return
	}
	sub := o.object("samples")
	for _, op := range sub.keys() {
		one := newObject(o.doc, sub.path, &node{value: map[string]*node{"samples": sub.get(op)}})
		im.takeSamples(one, fmt.Sprintf("snapshot/%d/%s", files, op))
	}
}
