package digest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDigest(t *testing.T) {
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, B.1
	name := filepath.Join(t.TempDir(), "abc")
	require.NoError(t, os.WriteFile(name, []byte("abc"), 0o600))
	got, err := File(name)
	require.NoError(t, err)
	assert.Equal(t, abc, got)
	assert.Equal(t, abc, Bytes([]byte("abc")))
	_, err = File(name + "x")
	assert.ErrorIs(t, err, os.ErrNotExist)
}
