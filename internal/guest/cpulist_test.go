package guest

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Kind: the identity of a measurement. A list of processors would make variants
// that comment lines do not tell apart.
func TestListOfProcessorsIsRefused(t *testing.T) {
	old := flag.Lookup("test.cpu").Value.String()
	t.Cleanup(func() { _ = flag.Set("test.cpu", old) })
	for list, want := range map[string]string{"": "", "2": "", "1,2": "-test.cpu 1,2: want one number of processors a run", "4,": "-test.cpu 4,: want one number of processors a run"} {
		require.NoError(t, flag.Set("test.cpu", list))
		if want == "" {
			assert.NoError(t, oneProcessorCount(), list)
			continue
		}
		assert.EqualError(t, oneProcessorCount(), want)
	}
}
