package guest

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"hash/crc32"
	"strings"
)

// An algorithm of a digest, by its name in the registry of RFC 9530.
type algorithm struct {
	name   string
	size   int
	new    func() hash.Hash
	quick  bool // costs less than handing a buffer to another goroutine
	legacy bool // has this form in the field Digest too
}

// algorithms are those that are checked, the first of them that is stated. The
// digest comes the same way as the body, so it can only tell of accidents, and
// against those CRC-32C is as good; it costs a tenth of what SHA-256 does, which
// takes a quarter of the speed where client and origin share two processors.
func algorithms() []algorithm {
	crc32c := func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }
	return []algorithm{
		{name: "crc32c", size: crc32.Size, new: crc32c, quick: true},
		{name: "sha-256", size: sha256.Size, new: sha256.New, legacy: true}, // processors have instructions for it
		{name: "sha-512", size: sha512.Size, new: sha512.New, legacy: true},
	}
}

// wantDigest asks for one of them (RFC 9530, section 4).
const wantDigest = "Want-Repr-Digest: crc32c=10, sha-256=9, sha-512=5"

// statedDigests are the digests that an origin states for a body: the fields
// Repr-Digest and Content-Digest (RFC 9530) and Digest (RFC 3230). Without a
// Range and without a content coding all three are of the same bytes.
type statedDigests struct {
	sums       map[string][][]byte // by algorithm
	unreadable bool                // a digest field that is none
}

// see takes over a header field if it states a digest.
func (d *statedDigests) see(name, value []byte) {
	switch {
	case equalFold(name, "repr-digest"), equalFold(name, "content-digest"):
		d.structured(string(value))
	case equalFold(name, "digest"):
		d.legacy(string(value))
	}
}

// structured reads "sha-256=:<base64>:, sha-512=:<base64>:". Algorithms that
// are not for security (md5, adler, ...) are passed over, as are parameters.
func (d *statedDigests) structured(value string) {
	for member := range strings.SplitSeq(value, ",") {
		name, item, _ := strings.Cut(strings.TrimSpace(member), "=")
		item, _, _ = strings.Cut(item, ";")
		item, ok := strings.CutPrefix(strings.TrimSpace(item), ":")
		item, closed := strings.CutSuffix(item, ":")
		d.add(name, item, ok && closed, false)
	}
}

// legacy reads "SHA-256=<base64>,SHA-512=<base64>".
func (d *statedDigests) legacy(value string) {
	for member := range strings.SplitSeq(value, ",") {
		name, item, ok := strings.Cut(strings.TrimSpace(member), "=")
		d.add(strings.ToLower(name), strings.TrimSpace(item), ok, true)
	}
}

func (d *statedDigests) add(name, item string, ok, legacy bool) {
	for _, a := range algorithms() {
		if a.name != name || legacy && !a.legacy {
			continue
		}
		sum, err := base64.StdEncoding.DecodeString(item)
		if !ok || err != nil || len(sum) != a.size {
			d.unreadable = true
			return
		}
		if d.sums == nil {
			d.sums = make(map[string][][]byte)
		}
		d.sums[name] = append(d.sums[name], sum)
	}
}

// choose returns the digest to compute, or nil when none was stated; one is
// enough.
func (d *statedDigests) choose() *digest {
	for _, a := range algorithms() {
		if want := d.sums[a.name]; len(want) > 0 {
			return &digest{a.name, a.quick, a.new(), want}
		}
	}
	return nil
}

// digest is one being computed, and what it has to be.
type digest struct {
	name  string
	quick bool
	hash.Hash
	want [][]byte
}

func (d *digest) check() error {
	sum := d.Sum(nil)
	for _, want := range d.want {
		if !bytes.Equal(sum, want) {
			return errors.New(d.name + " digest differs")
		}
	}
	return nil
}

// A download's buffers: large enough that handing one over costs nothing,
// few enough to stay out of the way of the 40 MB that the binary may take.
const (
	downloadBuffer  = 256 << 10
	downloadBuffers = 64
)

// A hasher computes a digest in a goroutine of its own, so that the reader of
// the connection does not wait for it as long as buffers are free.
type hasher struct {
	free, full chan []byte
	made       int
	done       chan struct{}
}

// newHasher starts the goroutine; close ends it. A nil digest hashes nothing.
func newHasher(d *digest) *hasher {
	h := &hasher{free: make(chan []byte, downloadBuffers), full: make(chan []byte, downloadBuffers), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		yieldToOthers()
		for buf := range h.full {
			_, _ = d.Write(buf)
			h.free <- buf[:downloadBuffer]
		}
	}()
	return h
}

// buffer returns an empty buffer; it waits when all are still to be hashed.
func (h *hasher) buffer() []byte {
	select {
	case buf := <-h.free:
		return buf
	default:
	}
	if h.made < downloadBuffers {
		h.made++
		return make([]byte, downloadBuffer)
	}
	return <-h.free
}

// close waits until everything handed over is hashed.
func (h *hasher) close() {
	close(h.full)
	<-h.done
}
