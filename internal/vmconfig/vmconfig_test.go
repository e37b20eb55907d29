package vmconfig

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStageLine(t *testing.T) {
	line := StageLine(StageFailed, 2500*time.Microsecond, "no disk\nat all")
	assert.Equal(t, "capsem-stage: failed 2500 no disk at all\n", line)
	s, up, reason, ok := ParseStage("[    2.1] " + line)
	require.True(t, ok)
	assert.Equal(t, StageFailed, s)
	assert.Equal(t, 2500*time.Microsecond, up)
	assert.Equal(t, "no disk at all", reason)
	for _, bad := range []string{
		"", "capsem-stage: ", "capsem-stage: kernel", "capsem-stage: kernel -1", "capsem-stage: kernel 99999999999999",
		"capsem-stage: other 12", "kernel 12",
	} {
		_, _, _, ok := ParseStage(bad)
		assert.False(t, ok, bad)
	}
}

func TestDecode(t *testing.T) {
	_, err := Decode([]byte(`{"mode":"serve","hostname":"capsem"}`))
	require.NoError(t, err)
	for _, bad := range []string{"", "{}", `{"mode":"other"}`, "{"} {
		_, err := Decode([]byte(bad))
		assert.Error(t, err, bad)
	}
}
