package capsembench

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/guest"
	"github.com/capsem/capsem-bench/internal/guest/blockio"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/dustin/go-humanize"
)

// BenchmarkDisk measures the scratch disk: the directory that agents work in.
func BenchmarkDisk(b *testing.B) {
	settings, err := guest.Settings()
	dir, dirErr := guest.Home()
	d := &disk{parent: dir, size: int64(settings.SizeMB) << 20, block: catalogue.SeqBlock, shared: true}
	suite := guest.Begin(b, record.Category{Category: string(catalogue.Disk), Directory: dir, SizeMB: settings.SizeMB})
	defer suite.CleanUp(d.dropKept)
	cases := map[string]func(p *guest.Pass, name string) error{
		"seq_write": d.seqWrite, "seq_read": d.seqRead, "rand_write_4k": d.randWrite, "rand_read_4k": d.randRead,
	}
	for _, op := range catalogue.Select(catalogue.Ops(settings), catalogue.Disk) {
		suite.Op(op, func(p *guest.Pass) error {
			if err := cmp.Or(err, dirErr); err != nil {
				return err
			}
			if d.kept != "" && d.keptBy != op.Key("op") {
				return d.onKept(p, cases[op.Key("op")])
			}
			return d.inWorkDir(p, cases[op.Key("op")])
		})
	}
}

// A disk is the set-up of the category. The file that the last round of an
// operation leaves is the one that the first of the next would make, so that
// one takes it over: seq_read that of seq_write, byte for byte, and rand_read
// that of rand_write, whose blocks are where they were. Every other round makes
// a file of its own.
type disk struct {
	parent      string       // where directories of files are made
	size, block int64        // of the sequential file, and of its accesses
	shared      bool         // with the next operation, which may take a file over
	kept        string       // the name of that file; "" is none
	keptBy      string       // the operation that left it
	remove      func() error // removes it
}

// dropKept removes a file that nobody took over.
func (d *disk) dropKept() error {
	if d.kept == "" {
		return nil
	}
	d.kept = ""
	return d.remove()
}

// seqWrite writes a new file in blocks of 1 MiB, with one fdatasync at the end.
func (d *disk) seqWrite(p *guest.Pass, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	writes := blockio.Writes{
		File: f, Block: d.block, Offsets: blockio.Sequential(d.size, d.block),
		Source: blockio.NewSource(guest.Seed(), int(d.block)), Last: blockio.Datasync,
	}
	if err := p.TimeEach(writes.Run); err != nil { // measured
		return err
	}
	reportAccesses(p, 1, d.block)
	if err := blockio.Allocated(f); err != nil {
		return err
	}
	d.keep(p, name, "seq_write", "seq_read")
	return nil
}

// keep leaves a file to the next operation, if that is the one for it.
func (d *disk) keep(p *guest.Pass, name, op, next string) {
	if d.shared && p.Next().Key("op") == next {
		d.kept, d.keptBy = name, op
	}
}

// onKept runs an operation on the file that the one before has left.
func (d *disk) onKept(p *guest.Pass, run func(p *guest.Pass, name string) error) (err error) {
	defer func() { err = cmp.Or(err, d.dropKept()) }()
	return run(p, d.kept)
}

// made makes a file for an operation, unless it is the one that was left.
func (d *disk) made(p *guest.Pass, name string, size int64) error {
	if name == d.kept {
		return nil
	}
	return writeFile(p, name, size)
}

// seqRead reads a file that was written just before, cold.
func (d *disk) seqRead(p *guest.Pass, name string) error {
	if err := d.made(p, name, d.size); err != nil {
		return err
	}
	return readSequential(p, name, d.block)
}

// randWrite overwrites 4 KiB blocks at random, each followed by fdatasync.
func (d *disk) randWrite(p *guest.Pass, name string) error {
	if err := writeFile(p, name, catalogue.DiskRandBytes); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	writes := blockio.Writes{
		File: f, Block: catalogue.RandBlock, Offsets: randomOffsets(),
		Source: blockio.NewSource(guest.Seed()+1, catalogue.RandBlock), Each: blockio.Datasync,
	}
	if err := p.TimeEach(writes.Run); err != nil { // measured
		return err
	}
	reportAccesses(p, catalogue.DiskRandCount, catalogue.RandBlock)
	if err := blockio.Allocated(f); err != nil {
		return err
	}
	if blockio.InPlace(f) {
		d.keep(p, name, "rand_write_4k", "rand_read_4k")
	}
	return nil
}

// randRead reads 4 KiB blocks at random from a file that has real data, cold.
func (d *disk) randRead(p *guest.Pass, name string) error {
	if err := d.made(p, name, catalogue.DiskRandBytes); err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := blockio.AdviseRandom(int(f.Fd())); err != nil {
		return err
	}
	reads := blockio.Reads{File: f, Block: catalogue.RandBlock, Offsets: randomOffsets()}
	p.Cold(name)
	if err := p.TimeEach(reads.Run); err != nil { // measured
		return err
	}
	reportAccesses(p, catalogue.DiskRandCount, catalogue.RandBlock)
	p.TimeWarm(reads.RunWarm, reads.Cached, reads.Touched())
	return nil
}

func randomOffsets() []int64 {
	return blockio.Random(guest.Seed(), catalogue.DiskRandCount, catalogue.DiskRandBytes, catalogue.RandBlock)
}

// inWorkDir gives a case the name of a new file in a directory with room.
func (d *disk) inWorkDir(p *guest.Pass, run func(p *guest.Pass, name string) error) (err error) {
	if err := d.dropKept(); err != nil { // of the round before
		return err
	}
	dir, remove, err := guest.WorkDirIn(d.parent)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil && d.kept == filepath.Join(dir, "data") {
			d.remove = remove
			return
		}
		if rerr := remove(); err == nil {
			err = rerr
		}
	}()
	need := max(d.size, catalogue.DiskRandBytes) + 1<<20 // metadata of one file
	room, err := blockio.Room(dir)
	if err != nil {
		return err
	}
	if room < need { // a disk is never filled to its last block
		return fmt.Errorf("%s has room for %s, the benchmark needs %s; set %s or %s", filepath.Dir(dir),
			humanize.IBytes(uint64(room)), humanize.IBytes(uint64(need)), catalogue.EnvDir, catalogue.EnvSizeMB)
	}
	return run(p, filepath.Join(dir, "data"))
}

// writeFile makes a file of incompressible data whose every block is on disk.
func writeFile(p *guest.Pass, name string, size int64) error {
	if err := blockio.WriteFile(p.Context(), name, size, catalogue.SeqBlock, guest.Seed()); err != nil {
		return fmt.Errorf("preparing %s: %w", name, err)
	}
	return nil
}
