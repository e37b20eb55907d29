package record

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// standard is the line as encoding/json writes it.
func standard(t *testing.T, v any) string {
	t.Helper()
	var buf bytes.Buffer
	buf.WriteString(Prefix)
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(v))
	return buf.String()
}

// Every line is what encoding/json writes, whatever its fields hold.
func TestAppendIsStandard(t *testing.T) {
	seeded := rand.New(rand.NewSource(1))
	for _, zero := range []any{Boot{}, Machine{}, Run{}, Category{}, Start{}, Samples{}, Status{}, End{}} {
		typ := reflect.TypeOf(zero)
		t.Run(typ.Name(), func(t *testing.T) {
			for range 200 {
				v, ok := quick.Value(typ, seeded)
				require.True(t, ok)
				for i := range typ.NumField() { // some left empty
					if seeded.Intn(3) == 0 {
						v.Field(i).SetZero()
					}
				}
				line, err := Append(nil, v.Interface())
				if want := standard(t, v.Interface()); len(want) > MaxLine {
					require.ErrorContains(t, err, "longer than 32768")
				} else {
					require.NoError(t, err)
					require.Equal(t, want, string(line))
				}
			}
		})
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("a\xffb\ufffd\u2028<>&\"\\/\x00\x1f\x7f\b\f\n\r\t", 1.5e-7)
	f.Add("", math.Copysign(0, -1))
	f.Add("é", 1e21)
	f.Fuzz(func(t *testing.T, s string, x float64) {
		v := Samples{Op: s, Command: []string{s}, Errors: map[string]int64{s: 1, s + "z": 2}, Metrics: map[string]float64{"B/s": x}}
		line, err := Append([]byte("before\n"), v)
		switch {
		case math.IsNaN(x) || math.IsInf(x, 0):
			require.ErrorContains(t, err, "no JSON for the number")
		case len(s) > MaxLine/24:
		default:
			require.NoError(t, err)
			require.Equal(t, "before\n"+standard(t, v), string(line))
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	before := []byte("x")
	after, err := Append(before, struct{ C chan int }{})
	require.ErrorContains(t, err, "no JSON for a chan int")
	assert.Equal(t, before, after)
}
