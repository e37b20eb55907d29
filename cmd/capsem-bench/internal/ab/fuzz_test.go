package ab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzLoad puts any text into a trial's directory: it is a boot of the plan or
// refused, never taken for another.
func FuzzLoad(f *testing.F) {
	p := plan()
	first := p.Order(0)
	f.Add([]byte(`#capsem {"type":"boot","side":"`+first[0]+`","stage":1,"slot":1,"seed":7,"time":1}`+"\n"), []byte(`[]`))
	f.Add([]byte(`#capsem {"type":"boot","side":"`+first[1]+`","stage":1,"slot":2,"seed":7,"time":1}`+"\n"), []byte(`[{"stage":1,"pair":1,"cause":"crashed"}]`))
	f.Add([]byte(`#capsem {"type":"boot","side":"base","stage":2,"slot":5,"seed":7}`), []byte(`{}`))
	f.Add([]byte(`#capsem {"type":"run"}`), []byte(`null`))
	f.Add([]byte("goos: linux\n"), []byte(``))
	f.Fuzz(func(t *testing.T, text, repeats []byte) {
		dir := t.TempDir()
		for _, side := range []string{Base, Cand} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, side), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, side, "boot.txt"), text, 0o600))
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, repeatsName), repeats, 0o600))
		_, err := load(dir, &p)
		require.Error(t, err, "one text is not of both sides")

		require.NoError(t, os.Remove(filepath.Join(dir, Cand, "boot.txt")))
		s, err := load(dir, &p)
		if err != nil {
			assert.Contains(t, err.Error(), dir)
			return
		}
		require.Len(t, s.boots, 1)
		for slot := range s.boots {
			assert.Equal(t, Base, p.Order((slot - 1) / 2)[(slot-1)%2])
			assert.Equal(t, []string{filepath.Join(dir, Base, "boot.txt")}, s.files(Base, 3))
		}
	})
}
