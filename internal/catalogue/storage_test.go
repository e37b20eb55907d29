package catalogue

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The directory is part of what is measured, whichever a user chose.
func TestStorageDirectoriesAreOperations(t *testing.T) {
	for name, id := range map[string]string{
		"Storage/dir=root/op=seq_write": "storage/root/seq_write", "BenchmarkStorage/dir=var_tmp/op=rand_read_4k-8": "storage/var_tmp/rand_read_4k",
		"Storage/dir=x/op=seq_read_cold/block=64k": "storage/x/seq_read_cold/64k",
	} {
		op, ok := Lookup(name)
		assert.True(t, ok, name)
		assert.Equal(t, id, op.ID)
		assert.Equal(t, id, Key(name))
		byID, ok := ByID(id)
		assert.True(t, ok, id)
		assert.Equal(t, op, byID)
	}
	for _, name := range []string{"Storage", "Storage/dir=x", "Storage/dir=/op=seq_write", "Storage/dir=x/op=seq_read", "Storage/dir=x/op=seq_write/block=1m", "Storage/op=seq_write/dir=x"} {
		_, ok := Lookup(name)
		assert.False(t, ok, name)
	}
	assert.Len(t, StorageOps("tmp"), 11)
	assert.Equal(t, "var_tmp", StorageDir("/var/tmp/"))
	assert.Empty(t, Select(Ops(Settings{}), Storage), "it is measured where it is named")
	for op, want := range map[string]int64{"seq_write": 1 << 20, "rand_write_4k": 4096, "seq_write/block=4k": 4096, "seq_read_warm/block=64k": 65536} {
		o, ok := Lookup("Storage/dir=a/op=" + op)
		assert.True(t, ok, op)
		assert.Equal(t, want, o.Block(), op)
	}
}
