package snapshot

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

// An ident tells versions of one file apart without reading it: whoever
// changes a file changes its ctime, and nobody can set that. The zero ident
// proves nothing.
type ident struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // ns
}

// identOf returns the ident of a file that was examined at a time not before
// now, the kernel's clock for files. A file that changed in the tick of that
// clock or later could change once more and look the same, so it gets none.
func identOf(st *unix.Stat_t, now int64, slack int64) ident {
	return rawIdent(st).settled(now, slack)
}

// rawIdent is the ident of a file as it looks, also of one that may change and
// look the same.
func rawIdent(st *unix.Stat_t) ident {
	return ident{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
}

// settled is the ident, or the zero one if the file could still change unseen.
func (id ident) settled(now, slack int64) ident {
	if id.ctime%1e9 == 0 {
		slack = max(slack, coarse) // perhaps an inode with whole seconds
	}
	if id.ctime >= now-slack {
		return ident{}
	}
	return id
}

// proves reports whether a file that looks like raw is what id was taken of.
func (id ident) proves(raw ident) bool { return id != ident{} && id == raw }

// coarse is the slack for clocks and filesystems that are not known to be
// exact: FAT counts in steps of two seconds.
const coarse = 2_000_000_000

// modeBits are the bits of a mode that a snapshot keeps. What makes a program
// run as somebody else is left out: a file that is brought back may get
// another owner.
const modeBits = 0o777

// A content is the bytes of a file in the store. Snapshots that share a file
// by a hard link share its content.
type content struct {
	sum   [32]byte
	known bool // sum has been computed; both are guarded by Store.mu
}

// An entry is one file of a tree. It is of a snapshot if it has a content.
// Snapshots share the entries of files that did not change between them, so an
// entry is never changed once its tree is made.
type entry struct {
	path    string // with slashes, relative, at most maxPath bytes
	target  string // of a symlink
	absent  string // why the snapshot has no copy of the file, "" if it has one
	size    int64
	mode    uint32
	kind    uint32 // S_IFMT of a file of the workspace, 0 in a snapshot
	symlink bool
	refs    int32    // trees of the store that hold the entry; a change holds Store.turn
	disk    int64    // bytes that its copy takes
	id      ident    // of a snapshot: of the live file when it was taken; else as the file looks
	owner   [2]int64 // user and group of a file of the workspace
	content *content
}

// overhead is about what an entry takes beside its texts, with its content.
const overhead = 192

// cost is about how many bytes of memory an entry takes.
func (e *entry) cost() int64 { return overhead + int64(len(e.path)+len(e.target)) }

// A tree is a list of files in the order of their paths.
type tree []*entry

func (t tree) sort() {
	slices.SortFunc(t, func(a, b *entry) int { return cmp.Compare(a.path, b.path) })
}

// find returns the entry of a path, or nil.
func (t tree) find(path string) *entry {
	i, ok := slices.BinarySearchFunc(t, path, func(e *entry, p string) int { return cmp.Compare(e.path, p) })
	if !ok {
		return nil
	}
	return t[i]
}

// files counts the regular files.
func (t tree) files() (n int) {
	for _, e := range t {
		if !e.symlink && e.absent == "" {
			n++
		}
	}
	return n
}

// hash is Capsem's: BLAKE3 over path and size (64 bits, little endian) of
// the regular files. It says nothing about their bytes.
func (t tree) hash() string {
	h := blake3.New()
	buf := make([]byte, 0, 256)
	for _, e := range t {
		if !e.symlink && e.absent == "" {
			buf = binary.LittleEndian.AppendUint64(append(buf[:0], e.path...), uint64(e.size))
			_, _ = h.Write(buf)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// check is over all that a stored tree shows without reading its files, so
// that a snapshot is known to be whole.
func (t tree) check() string {
	h := blake3.New()
	var buf []byte
	for _, e := range t {
		if e.absent != "" {
			continue
		}
		buf = append(append(buf[:0], e.path...), 0)
		if e.symlink {
			buf = append(append(buf, 'l'), e.target...)
		} else {
			buf = binary.LittleEndian.AppendUint32(append(buf, 'f'), e.mode)
			buf = binary.LittleEndian.AppendUint64(buf, uint64(e.size))
		}
		_, _ = h.Write(append(buf, 0))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// each calls f for every path of the two trees with its entries; that of a
// tree without the path is nil.
func each(a, b tree, f func(x, y *entry) error) error {
	for len(a) > 0 || len(b) > 0 {
		var x, y *entry
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = cmp.Compare(a[0].path, b[0].path)
		}
		if order <= 0 {
			x, a = a[0], a[1:]
		}
		if order >= 0 {
			y, b = b[0], b[1:]
		}
		if err := f(x, y); err != nil {
			return err
		}
	}
	return nil
}
