package capsembench

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/blockio"
	"github.com/capsem/capsem-bench/internal/record"
)

// BenchmarkStorage measures what BenchmarkDisk does, and more block sizes, on
// each writable mount. It is measured only where a pattern names it.
func BenchmarkStorage(b *testing.B) {
	settings, err := guest.StorageSettings()
	mounts := map[string]string{"size_mb": strconv.FormatInt(settings.Size>>20, 10)}
	for name, path := range settings.Path {
		mounts[name] = blockio.Mount(path)
	}
	suite := guest.Begin(b, record.Category{Category: string(catalogue.Storage), Settings: mounts})
	for _, op := range settings.Ops() {
		d := &disk{parent: settings.Path[op.Key("dir")], size: settings.Size, block: op.Block()}
		cases := map[string]func(p *guest.Pass, name string) error{
			"seq_write": d.seqWrite, "seq_read_cold": d.seqRead, "seq_read_warm": d.seqReadWarm, "rand_write_4k": d.randWrite, "rand_read_4k": d.randRead,
		}
		suite.Op(op, func(p *guest.Pass) error {
			if err != nil {
				return err
			}
			if _, err := os.Stat(d.parent); os.IsNotExist(err) {
				return guest.SkipError("no directory " + d.parent)
			}
			if op.Cold && strings.HasPrefix(mounts[op.Key("dir")], "tmpfs ") {
				return guest.SkipError(d.parent + " is in memory (tmpfs): nothing in it is cold")
			}
			return d.inWorkDir(p, cases[op.Key("op")])
		})
	}
}

// seqReadWarm reads a file that the page cache has.
func (d *disk) seqReadWarm(p *guest.Pass, name string) error {
	if err := writeFile(p, name, d.size); err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	reads := blockio.Reads{File: f, Block: d.block, Offsets: blockio.Sequential(d.size, d.block)}
	if _, err := reads.Run(p.Context()); err != nil {
		return err
	}
	if err := p.TimeEach(reads.Run); err != nil { // measured
		return err
	}
	if pages, known := reads.Cached(); known && pages < reads.Touched() {
		p.Doubt("only %d of %d pages were in the cache", pages, reads.Touched())
	}
	reportAccesses(p, 1, d.block)
	return nil
}
