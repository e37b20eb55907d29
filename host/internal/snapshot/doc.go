// Package snapshot keeps snapshots of a workspace: copies of a directory tree
// in numbered slots, with what changed between them, files brought back from
// them, and several of them merged into one. Slots, names, hashes and the
// directory layout are those of Capsem's snapshot scheduler.
//
// The workspace belongs to a guest and is not trusted. Every file in it is
// reached from the workspace's own directory, one component at a time, never
// through a symbolic link. So no name and no link leads out of it, not even one
// that is made while a file is looked up.
//
// A slot is either empty or holds a whole snapshot. A new one is built beside
// the slots and renamed into its place, an old one is renamed away before it
// is removed, and [Open] removes what a killed process left. There is no fsync:
// this protects from the end of a process only. After a power failure a
// snapshot whose tree is not the one that its metadata names is dropped.
//
// A file costs a clone (a reflink where the filesystem has them) only when it
// is new or differs from the latest snapshot; else the two snapshots share it
// by a hard link. Inode, size, mtime and ctime decide whether it differs, and
// where those do not prove it, the content; so an edit that keeps the size is
// seen. The one exception are stores through a shared memory map of a
// page that an earlier store has made writable: they change no time until the
// kernel has written the page back.
package snapshot
