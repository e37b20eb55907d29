package guest

import (
	"bytes"
	"encoding/binary"
	"io"
)

// The parts of the ELF format (System V ABI, chapters 4 and 5) that name a
// program's libraries, for 64-bit little-endian files. debug/elf would add
// 220 kB of decompressors and DWARF to a binary that has a size limit.
const (
	elfHeaderSize   = 64
	elfSegmentSize  = 56
	elfMaxSegments  = 64
	elfMaxDynamic   = 64 << 10 // bytes; a large program has 1 KiB
	elfMaxName      = 256
	segmentLoad     = 1
	segmentDynamic  = 2
	dynamicNeeded   = 1
	dynamicStrings  = 5
	dynamicEntrySiz = 16
)

type elfSegment struct {
	kind               uint32
	offset, addr, size uint64
}

// neededLibraries returns the DT_NEEDED names of an executable; none for
// anything that is not one.
func neededLibraries(r io.ReaderAt) []string {
	segments := elfSegments(r)
	var dynamic []byte
	for _, s := range segments {
		if s.kind == segmentDynamic {
			dynamic = readAt(r, s.offset, min(s.size, elfMaxDynamic))
		}
	}
	var offsets []uint64
	var strings uint64
	for ; len(dynamic) >= dynamicEntrySiz; dynamic = dynamic[dynamicEntrySiz:] {
		switch value := binary.LittleEndian.Uint64(dynamic[8:]); binary.LittleEndian.Uint64(dynamic) {
		case dynamicNeeded:
			offsets = append(offsets, value)
		case dynamicStrings:
			strings = value
		}
	}
	var names []string
	for _, off := range offsets {
		name, _, ok := bytes.Cut(readAt(r, fileOffset(segments, strings)+off, elfMaxName), []byte{0})
		if ok && len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names
}

func elfSegments(r io.ReaderAt) []elfSegment {
	h := readAt(r, 0, elfHeaderSize)
	if len(h) < elfHeaderSize || !bytes.HasPrefix(h, []byte("\x7fELF\x02\x01")) {
		return nil
	}
	table, count := binary.LittleEndian.Uint64(h[32:]), min(binary.LittleEndian.Uint16(h[56:]), elfMaxSegments)
	if binary.LittleEndian.Uint16(h[54:]) != elfSegmentSize {
		return nil
	}
	var out []elfSegment
	for b := readAt(r, table, uint64(count)*elfSegmentSize); len(b) >= elfSegmentSize; b = b[elfSegmentSize:] {
		out = append(out, elfSegment{
			binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint64(b[8:]),
			binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[32:]),
		})
	}
	return out
}

// fileOffset returns where the byte of a memory address is in the file.
func fileOffset(segments []elfSegment, addr uint64) uint64 {
	for _, s := range segments {
		if s.kind == segmentLoad && addr >= s.addr && addr-s.addr < s.size {
			return addr - s.addr + s.offset
		}
	}
	return addr
}

// readAt returns up to n bytes at an offset; fewer where the file ends.
func readAt(r io.ReaderAt, off, n uint64) []byte {
	if off > 1<<62 {
		return nil
	}
	buf := make([]byte, n)
	got, _ := r.ReadAt(buf, int64(off))
	return buf[:got]
}
