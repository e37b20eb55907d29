package remote_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Here both sides have one clock, so the offset is what the bound admits.
func TestReadClock(t *testing.T) {
	t.Parallel()
	c := newGuest(t, "unix").connect(t)
	begin := time.Now()
	r, err := c.ReadClock(t.Context())
	require.NoError(t, err)
	assert.Positive(t, r.BoundNS)
	assert.LessOrEqual(t, max(r.OffsetNS, -r.OffsetNS), r.BoundNS)
	assert.WithinRange(t, time.Unix(0, r.TimeNS), begin, time.Now())
	require.NoError(t, c.Ping(t.Context()))
	require.NoError(t, c.Close())
	_, err = c.ReadClock(t.Context())
	require.Error(t, err)
}
