package record

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand"
	"reflect"
	"strings"
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

// requireStandard holds a line to that of encoding/json: to its bytes, or where it
// has characters that are not shown, to what it says.
func requireStandard(t *testing.T, v any, line []byte) {
	t.Helper()
	want := standard(t, v)
	if !strings.ContainsFunc(want[:len(want)-1], hidden) {
		require.Equal(t, want, string(line))
		return
	}
	require.False(t, bytes.ContainsFunc(line[:len(line)-1], hidden), "%q", line)
	require.JSONEq(t, strings.TrimPrefix(want, Prefix), string(bytes.TrimPrefix(line, []byte(Prefix))))
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
				if err != nil {
					require.ErrorContains(t, err, "longer than 32768")
					require.Greater(t, 3*len(standard(t, v.Interface())), MaxLine)
				} else {
					require.NoError(t, err)
					requireStandard(t, v.Interface(), line)
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
			require.ErrorContains(t, err, "unsupported value")
		case len(s) > MaxLine/24:
		default:
			require.NoError(t, err)
			requireStandard(t, v, bytes.TrimPrefix(line, []byte("before\n")))
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	before := []byte("x")
	after, err := Append(before, struct{ C chan int }{})
	require.ErrorContains(t, err, "unsupported type: chan int")
	assert.Equal(t, before, after)
}

// A line may be looked at on a terminal: what would not be shown as such is
// spelled, and reads back as what it was.
func TestUnseenCharactersAreSpelled(t *testing.T) {
	const name = "a\u009b31m\x7f\u202eb\u200d\ufffd\U000e0041漢é"
	line, err := Append([]byte("before\n"), Run{Type: TypeRun, Hostname: name})
	require.NoError(t, err)
	require.Contains(t, string(line), `"hostname":"a\u009b31m\u007f\u202eb\u200d\ufffd\udb40\udc41漢é"`)
	require.True(t, bytes.HasPrefix(line, []byte("before\n#capsem ")))
	got, err := Parse(bytes.TrimSuffix(bytes.TrimPrefix(line, []byte("before\n")), []byte("\n")))
	require.NoError(t, err)
	assert.Equal(t, name, got.(*Run).Hostname)
}
