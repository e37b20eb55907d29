package diskroom

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOn(t *testing.T) {
	dir := t.TempDir()
	free, size, err := On(dir)
	require.NoError(t, err)
	assert.Positive(t, free)
	assert.GreaterOrEqual(t, size, free)
	_, _, err = On(dir + "/missing")
	assert.EqualError(t, err, "free space: no such file or directory", "a guest may read it")
}

func TestKept(t *testing.T) {
	assert.EqualValues(t, 512<<20, Kept(1<<40))
	assert.EqualValues(t, 51, Kept(1020))
	assert.EqualValues(t, 0, Kept(0))
}

// More than the disk has is refused before a byte of it is written, and what is
// granted is counted down to the next look.
func TestMeter(t *testing.T) {
	dir := t.TempDir()
	room, err := Room(dir)
	require.NoError(t, err)
	m := NewMeter(dir)
	err = m.Take(room + 1<<50)
	require.ErrorIs(t, err, ErrNone)
	assert.Regexp(t, `^no room on the host's disk: .*B may still be written to it, and the rest stays free$`, err.Error())

	require.NoError(t, m.Take(1))
	granted := m.left
	assert.Positive(t, granted)
	assert.LessOrEqual(t, granted, int64(lookEvery))
	var out bytes.Buffer
	w, err := m.Writer(&out)
	require.NoError(t, err)
	_, err = w.Write([]byte("abc"))
	require.NoError(t, err)
	assert.Equal(t, granted-perFile-3, m.left)
	assert.Equal(t, "abc", out.String())

	m.dir, m.left = dir+"/missing", 0
	_, err = w.Write([]byte("abc"))
	require.ErrorIs(t, err, ErrNone)
	assert.Equal(t, "abc", out.String())
}
