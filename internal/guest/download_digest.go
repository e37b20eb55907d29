package guest

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
)

// statedDigests are the digests that an origin states for a body: the fields
// Repr-Digest and Content-Digest (RFC 9530) and Digest (RFC 3230). Without a
// Range and without a content coding all three are of the same bytes.
type statedDigests struct {
	sha256, sha512 [][]byte
	unreadable     bool // a digest field that is none
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
		d.add(name, item, ok && closed)
	}
}

// legacy reads "SHA-256=<base64>,SHA-512=<base64>".
func (d *statedDigests) legacy(value string) {
	for member := range strings.SplitSeq(value, ",") {
		name, item, ok := strings.Cut(strings.TrimSpace(member), "=")
		d.add(strings.ToLower(name), strings.TrimSpace(item), ok)
	}
}

func (d *statedDigests) add(name, item string, ok bool) {
	var list *[][]byte
	var size int
	switch name {
	case "sha-256":
		list, size = &d.sha256, sha256.Size
	case "sha-512":
		list, size = &d.sha512, sha512.Size
	default:
		return
	}
	sum, err := base64.StdEncoding.DecodeString(item)
	if !ok || err != nil || len(sum) != size {
		d.unreadable = true
		return
	}
	*list = append(*list, sum)
}

// choose returns the digest to compute, or nil when none was stated. One is
// enough; SHA-256 comes first because processors have instructions for it.
func (d *statedDigests) choose() *digest {
	switch {
	case len(d.sha256) > 0:
		return &digest{"sha-256", sha256.New(), d.sha256}
	case len(d.sha512) > 0:
		return &digest{"sha-512", sha512.New(), d.sha512}
	}
	return nil
}

// digest is one being computed, and what it has to be.
type digest struct {
	name string
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
