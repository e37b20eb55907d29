package convert

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// bom is the byte order mark with which some editors and shells begin a text
// of UTF-8.
const bom = "\xef\xbb\xbf"

// maxDecoded bounds what a compressed input may unpack to.
const maxDecoded = 512 << 20

// Decode returns the bytes of r as UTF-8: without a byte order mark, out of
// UTF-16 of both orders with or without a mark, as PowerShell writes it, and
// unpacked from gzip and bzip2. Another compression, and anything binary, is an
// error that names it. The name is used in messages only.
func Decode(r io.Reader, name string) (io.Reader, error) {
	for range 3 { // text in UTF-16 may be compressed, and that once more
		br, ok := r.(*bufio.Reader)
		if !ok {
			br = bufio.NewReaderSize(r, 4<<10)
		}
		head, err := br.Peek(512)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		next, err := decoder(br, head)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if next == nil {
			return br, nil
		}
		r = next
	}
	return nil, fmt.Errorf("%s: compressed more than twice", name)
}

// IsDocument reports whether data, which Decode has read, is a JSON document
// and not benchmark text. The events of go test -json are objects too, each
// with its action; other output may stand before them.
func IsDocument(data []byte) bool {
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return false
	}
	for line := range bytes.Lines(data) {
		if _, ok := asEvent(line); ok {
			return false
		}
	}
	return true
}

// decoder returns what takes one encoding off, nil where there is none.
func decoder(br *bufio.Reader, head []byte) (io.Reader, error) {
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	utf16 := func(order unicode.Endianness) (io.Reader, error) {
		return transform.NewReader(br, unicode.UTF16(order, unicode.UseBOM).NewDecoder()), nil
	}
	switch {
	case has(bom):
		_, err := br.Discard(len(bom))
		return nil, err
	case has("\xff\xfe\x00\x00"), has("\x00\x00\xfe\xff"):
		return nil, errors.New("text in UTF-32; convert it to UTF-8 first (iconv -f UTF-32)")
	case has("\xff\xfe"), zeros(head, 1):
		return utf16(unicode.LittleEndian)
	case has("\xfe\xff"), zeros(head, 0):
		return utf16(unicode.BigEndian)
	case has("\x1f\x8b"):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("broken gzip: %w", err)
		}
		return &unpacked{r: z}, nil
	case has("BZh"):
		return &unpacked{r: bzip2.NewReader(br)}, nil
	}
	for magic, what := range packings() {
		if has(magic) {
			return nil, fmt.Errorf("compressed with %s; unpack it first", what)
		}
	}
	return nil, nil
}

// packings are the magic numbers of what is not unpacked here.
func packings() map[string]string {
	return map[string]string{
		"\x28\xb5\x2f\xfd": "zstd", "\xfd7zXZ\x00": "xz", "\x04\x22\x4d\x18": "lz4", "PK\x03\x04": "zip",
		"7z\xbc\xaf\x27\x1c": "7z", "\x1f\x9d": "compress", "LZIP": "lzip", "\x5d\x00\x00": "lzma",
	}
}

// zeros reports whether every second byte is 0, from the given place, as ASCII
// in UTF-16 has it, and no other is.
func zeros(head []byte, from int) bool {
	if len(head) < 8 {
		return false
	}
	for i, c := range head {
		if (c == 0) != (i%2 == from) {
			return false
		}
	}
	return true
}

// unpacked ends with an error beyond maxDecoded.
type unpacked struct {
	r io.Reader
	n int64
}

func (b *unpacked) Read(buf []byte) (int, error) {
	n, err := b.r.Read(buf)
	if b.n += int64(n); b.n > maxDecoded {
		return 0, fmt.Errorf("unpacks to more than %d MiB", maxDecoded>>20)
	}
	return n, err
}
