package httpload

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
)

// digestName is the one digest that is checked, by its name in the registry of
// RFC 9530. It comes the same way as the body, so it can only tell of
// accidents, and against those CRC-32C is enough. It is computed while the body
// arrives: to keep 100 MiB until the timer has stopped would take the memory
// and, in page faults, 20 times as long as the sum does.
const digestName = "crc32c"

// wantDigest asks for it (RFC 9530, section 4).
var wantDigest = field{"Want-Repr-Digest", digestName + "=10"}

func newDigest() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// A statedDigest is what the fields Repr-Digest of a response say.
type statedDigest struct {
	sum        uint32
	stated     bool
	unreadable bool // crc32c was stated, but not as a sum
}

// readDigest reads "sha-256=:<base64>:, crc32c=:<base64>:;parameter", which is
// a dictionary of RFC 8941 with byte sequences.
func readDigest(values [][]byte) (d statedDigest) {
	for _, value := range values {
		for member := range strings.SplitSeq(string(value), ",") {
			name, item, _ := strings.Cut(strings.TrimSpace(member), "=")
			if name != digestName {
				continue
			}
			item, _, _ = strings.Cut(item, ";")
			item, opened := strings.CutPrefix(strings.TrimSpace(item), ":")
			item, closed := strings.CutSuffix(item, ":")
			sum, err := base64.StdEncoding.DecodeString(item)
			if !opened || !closed || err != nil || len(sum) != crc32.Size {
				d.unreadable = true
				continue
			}
			d.sum, d.stated = binary.BigEndian.Uint32(sum), true
		}
	}
	return d
}

var errDigest = errors.New(digestName + " digest differs")
