package convert

import (
	"fmt"
	"strings"

	"github.com/capsem/capsem-bench/internal/record"
)

const doubtHoles = "read from holes: on an overlay this is memory, 25 to 50 times as fast as the disk"

// storage reads the profile of every mount. What it says of the kernel, of
// mounts and of block devices are facts of the machine and no figures.
func (im *importer) storage(o object) {
	for _, key := range []string{"kernel", "mounts", "paths"} {
		o.get(key)
	}
	if o.has("rootfs") {
		im.storageRootfs(o.object("rootfs"))
	}
	if !o.has("writable") {
		return
	}
	writable := o.object("writable")
	for _, path := range writable.keys() {
		im.storagePath(writable.object(path), path)
	}
}

// dirPart names a directory in a benchmark name: "/var/tmp" is "var_tmp".
func dirPart(path string) string { return "Storage/dir=" + slug(strings.Trim(path, "/")) }

func (im *importer) storageRootfs(o object) {
	for _, key := range []string{"scan_dirs", "files_found", "largest_file", "largest_file_size", "backing"} {
		o.get(key)
	}
	if o.has("seq_reads") {
		for _, read := range o.objects("seq_reads") {
			label := slug(read.str("label"))
			for _, key := range []string{"path", "size_bytes", "mount"} {
				read.get(key)
			}
			for _, cache := range []string{"cold", "warm"} {
				if read.has(cache) {
					im.storageOp(read.object(cache), "Storage/dir=rootfs/op=seq_read/file="+label+"/cache="+cache, cacheOf(cache))
				}
			}
			read.done()
		}
	}
	if o.has("rand_read_4k") {
		im.storageOp(o.object("rand_read_4k"), "Storage/dir=rootfs/op=rand_read_4k", unverified(doubtOpen))
	}
	o.done()
}

// cacheOf is the status of a read whose key says how its file was.
func cacheOf(key string) record.Status {
	if strings.Contains(key, "warm") {
		return record.Status{Cache: record.CacheWarm}
	}
	if strings.Contains(key, "cold") {
		return unverified()
	}
	return record.Status{}
}

func (im *importer) storagePath(o object, path string) {
	dir := dirPart(path)
	o.get("path")
	o.get("size_mb")
	if st, reason, ok := o.outcome(); ok {
		im.add(category(dir), dir, record.Samples{}, record.Status{Status: st, Reason: reason})
	}
	for _, key := range o.keys() {
		switch key {
		case "path", "size_mb", "error", "skipped", "reason":
		case "io_profile":
			im.ioProfile(o.object(key), dir)
		case "seq_write", "seq_read_cold", "seq_read_warm", "rand_write_4k":
			im.storageOp(o.object(key), dir+"/op="+key, cacheOf(key))
		case "rand_read_4k":
			im.storageOp(o.object(key), dir+"/op="+key, unverified(doubtHoles))
		}
	}
	o.done()
}

// ioProfile reads the ladder of block sizes.
func (im *importer) ioProfile(o object, dir string) {
	for _, key := range []string{"path", "size_mb", "random_ops"} {
		o.get(key)
	}
	if o.has("sequential") {
		blocks := o.object("sequential")
		for _, block := range blocks.keys() {
			ops := blocks.object(block)
			for _, op := range ops.keys() {
				im.storageOp(ops.object(op), fmt.Sprintf("%s/op=seq_%s/block=%s", dir, slug(op), slug(block)), cacheOf(op))
			}
		}
	}
	if o.has("random") {
		ops := o.object("random")
		for _, op := range ops.keys() {
			im.storageOp(ops.object(op), fmt.Sprintf("%s/op=rand_%s/profile=1", dir, slug(op)), record.Status{})
		}
	}
	o.done()
}

// storageOp reads one pass: {size_bytes, block_size?, count?, duration_ms,
// iops?, throughput_mbps, latency_ms?}.
func (im *importer) storageOp(o object, name string, st record.Status) {
	if im.noMeasurement(o, category(name), name) {
		return
	}
	s := newSamples()
	s.Count, s.Block, s.Files = max(o.optCount("count"), 1), o.optCount("block_size"), o.optCount("files_sampled")
	s.Bytes = o.optCount("size_bytes")
	s.ElapsedNS = o.millis("duration_ms")
	f := figures{s: &s}
	f.add("ns/op", perOp(s))
	f.scaled(o, "throughput_mbps", "B/s", mib)
	f.scaled(o, "iops", "iops", 1)
	o.get("avg_latency_ms") // is ns/op
	o.get("sync_each")
	if o.has("latency_ms") {
		l := o.object("latency_ms")
		for _, q := range []string{"p50", "p95", "p99", "max"} {
			f.millis(l, q, q+"-ns")
		}
		l.done()
	}
	im.addFigures(name, f, measured(s, st))
	o.done()
}
