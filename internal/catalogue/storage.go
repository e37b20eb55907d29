package catalogue

import (
	"fmt"
	"slices"
	"strings"
)

// Storage is the category of every writable mount: what [Disk] measures in one
// directory, and a ladder of block sizes, in several. It is measured where it
// is named, and its operations are no part of [Ops].
const Storage Category = "storage"

// The defaults of storage are Capsem's.
const (
	DefaultStorageDirs = "/root,/tmp,/var/tmp,/var/log,/run"
	DefaultStorageMB   = 64
)

// StorageOps returns the operations in one directory of that name, in report
// order.
func StorageOps(dir string) []Op {
	var ops []Op
	for _, op := range []string{"seq_write", "seq_read_cold", "seq_read_warm", "rand_write_4k", "rand_read_4k"} {
		ops = append(ops, storageOp(dir, op, ""))
	}
	for _, block := range []string{"4k", "64k"} { // 1m is the operation without a block
		for _, op := range []string{"seq_write", "seq_read_cold", "seq_read_warm"} {
			ops = append(ops, storageOp(dir, op, block))
		}
	}
	return ops
}

// StorageDir returns the name of a directory in names of operations: that of
// /var/tmp is var_tmp.
func StorageDir(path string) string {
	return strings.ReplaceAll(strings.Trim(path, "/"), "/", "_")
}

// Block returns the bytes of an access of a storage operation.
func (o Op) Block() int64 {
	switch {
	case o.Key("block") == "64k":
		return 64 << 10
	case o.Key("block") == "4k", strings.HasSuffix(o.Key("op"), "_4k"):
		return RandBlock
	}
	return SeqBlock
}

func storageOp(dir, op, block string) Op {
	units := []string{"ns/op", "B/s", "p50-ns", "p95-ns", "p99-ns", "max-ns"}
	o := Op{
		Category: Storage,
		ID:       fmt.Sprintf("storage/%s/%s", dir, op),
		Name:     fmt.Sprintf("Storage/dir=%s/op=%s", dir, op),
		Units:    units,
		Primary:  []string{"B/s"},
		Cold:     op == "seq_read_cold" || op == "rand_read_4k",
		Needs:    "a writable directory with room",
	}
	if block != "" {
		o.ID += "/" + block
		o.Name += "/block=" + block
	}
	if strings.HasPrefix(op, "rand_") {
		o.Units, o.Primary = slices.Insert(units, 2, "iops"), []string{"iops"}
		o.Count, o.Bytes = DiskRandCount, DiskRandCount*RandBlock
	}
	return o
}

// lookupStorage finds the operation of a name of StorageOps, in any directory.
func lookupStorage(name string) (Op, bool) {
	rest, ok := strings.CutPrefix(name, "Storage/dir=")
	dir, _, _ := strings.Cut(rest, "/")
	if !ok || dir == "" {
		return Op{}, false
	}
	for _, op := range StorageOps(dir) {
		if op.Name == name {
			return op, true
		}
	}
	return Op{}, false
}

// storageByID is lookupStorage by the ID.
func storageByID(id string) (Op, bool) {
	dir, _, _ := strings.Cut(strings.TrimPrefix(id, "storage/"), "/")
	for _, op := range StorageOps(dir) {
		if op.ID == id {
			return op, true
		}
	}
	return Op{}, false
}
