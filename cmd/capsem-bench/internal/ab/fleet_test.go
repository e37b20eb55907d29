package ab

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A machine runs the builds of a plan or is told which there are. A plan that
// says nothing of it is any machine's.
func TestFits(t *testing.T) {
	f := &Fleet{OS: "linux", Arches: []string{"amd64", "arm64"}}
	require.NoError(t, f.Fits("linux", "amd64"))
	require.NoError(t, f.Fits("linux", "arm64"))
	require.NoError(t, new(Fleet).Fits("linux", "riscv64"))
	for _, m := range [][2]string{{"linux", "riscv64"}, {"darwin", "arm64"}} {
		err := f.Fits(m[0], m[1])
		require.ErrorIs(t, err, ErrNoBuild)
		assert.EqualError(t, err, "the plan has no build for this machine, which is "+m[0]+" on "+m[1]+": it has linux on amd64 and arm64")
	}
}
