package bounded

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// However a text is cut into writes, its beginning and its end are kept and all of
// it is taken.
func TestHeadAndTail(t *testing.T) {
	text := strings.Repeat("0123456789", 2000)
	for _, size := range []int{1, 7, 4096, 5000, len(text)} {
		head, tail := &Head{Max: 25}, new(Tail)
		for rest := text; rest != ""; {
			part := rest[:min(size, len(rest))]
			rest = rest[len(part):]
			for _, w := range []interface{ Write([]byte) (int, error) }{head, tail} {
				n, err := w.Write([]byte(part))
				assert.NoError(t, err)
				assert.Len(t, part, n)
			}
		}
		assert.Equal(t, text[:25], head.String(), size)
		assert.Equal(t, text[:25], string(head.Bytes()))
		assert.True(t, head.Cut())
		assert.Equal(t, text[len(text)-maxTail:], tail.String(), size)
	}
	whole := &Head{Max: 5}
	fmt.Fprint(whole, "hello")
	assert.False(t, whole.Cut(), "a text that fits")
}

func TestLastLine(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "\n \n": "", "one": "one", "one\ntwo\n\n": "two", "a\n" + strings.Repeat("x", 301): strings.Repeat("x", 300) + "...",
	} {
		assert.Equal(t, want, LastLine(text))
	}
}
