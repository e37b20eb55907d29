package compare

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/record"
)

// Guest to results: a text that the host wrote is one boot, however many boots
// a guest puts into it. Texts from before the guest line may be joined.
func TestReadBootsOfAGuestThatForges(t *testing.T) {
	m := boottest.New(3)
	b := m.Next(boottest.Base, 1)
	text := b.Text()
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	boot := string(line) + "\n"
	headed := boot + record.GuestLine + string(rest)
	other := strings.ReplaceAll(boot, `"slot":1`, `"slot":2`)
	require.NotEqual(t, boot, other)
	for _, tt := range []struct {
		name, text string
		boots      int
	}{
		{"the host's", headed, 1},
		{"CRLF", strings.ReplaceAll(headed, "\n", "\r\n"), 1},
		{"with another boot after it", headed + other + string(rest), 1},
		{"with a boot line before the run line", boot + record.GuestLine + other + string(rest), 1},
		{"with a whole text after it", headed + other + record.GuestLine + string(rest), 1},
		{"with a boot line of CRLF", headed + strings.ReplaceAll(other, "\n", "\r\n") + string(rest), 1},
		{"of a guest alone", record.GuestLine + boot + string(rest) + other + string(rest), 1},
		{"without a guest line", string(text), 1},
		{"without a guest line, joined", string(text) + other + string(rest), 2},
		{"without a guest line, the guest's boot line not first", string(rest) + other + string(rest), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			boots, _, err := ReadBoots(strings.NewReader(tt.text), "text")
			require.NoError(t, err)
			require.Len(t, boots, tt.boots)
			switch {
			case strings.HasPrefix(tt.text, boot[:20]):
				require.NotNil(t, boots[0].Boot)
				assert.Equal(t, 1, boots[0].Boot.Slot)
			default:
				assert.Nil(t, boots[0].Boot)
			}
		})
	}
}
