package convert

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/record"
)

// checkReport holds whatever was read to what is promised of every report:
// each operation has a state, and reasons where it has no number; document
// and tables can be written, and hold no control characters.
func checkReport(t *testing.T, rep *Report) []byte {
	t.Helper()
	for _, res := range rep.Ops {
		require.Contains(t, []record.State{record.OK, record.Skipped, record.Failed, record.Invalid, record.Missing}, res.Status)
		if res.Status != record.OK {
			require.NotEmpty(t, res.Reason, res.Op.Name)
		}
	}
	var doc, tables bytes.Buffer
	require.NoError(t, rep.WriteJSON(&doc))
	require.True(t, json.Valid(doc.Bytes()), doc.String())
	require.NoError(t, WriteTables(&tables, rep, TableOptions{Width: 80}))
	for _, r := range tables.String() {
		require.False(t, r < ' ' && r != '\n' || r == 0x7f, "control character %q in tables", r)
	}
	return doc.Bytes()
}

func textSeeds(t testing.TB) [][]byte {
	seeds := [][]byte{
		readFixture(t, "own.txt"), readFixture(t, "failed.txt"), readFixture(t, "lab.txt"),
		[]byte("BenchmarkThroughput-2 \t 1\t 5 ns/op\nBenchmarkThroughput-2 \t 1\t"),
		[]byte("BenchmarkDisk\nBenchmarkDisk/op=seq_read/size=1MiB\n--- FAIL: BenchmarkDisk/op=seq_read/size=1MiB\nFAIL\n"),
		[]byte("\x16=== RUN   BenchmarkDisk\n\x16--- SKIP: BenchmarkStartup/cli=node\npanic: x\x1b[31m\n"),
		[]byte("#capsem {\"type\":\"samples\",\"op\":\"Throughput\",\"round\":-1,\"elapsed_ns\":-5}\n#capsem {\"type\":\"status\",\"op\":\"Throughput\",\"status\":\"ok\"}\n#capsem {\n"),
		[]byte("BenchmarkHTTP/n=0/c=0 1 NaN ns/op +Inf req/s -1 errors\n"),
	}
	return seeds
}

// FuzzRead reads any text, whole and as the events of test2json: both say the
// same.
func FuzzRead(f *testing.F) {
	for _, seed := range textSeeds(f) {
		f.Add(seed, uint8(7))
	}
	s := schema(f)
	f.Fuzz(func(t *testing.T, text []byte, cut uint8) {
		rep, err := Read(bytes.NewReader(text), "f")
		if err != nil {
			require.ErrorContains(t, err, "distinct benchmarks")
			return
		}
		nowhere(rep)
		doc := checkReport(t, rep)
		if err := s.Validate(decoded(t, doc)); err != nil {
			require.NoError(t, err, string(doc))
		}
		if bytes.Contains(text, []byte("ction")) || bytes.Contains(text, []byte(bom)) || !bytes.Equal(text, []byte(strings.ToValidUTF8(string(text), ""))) {
			return // events already, or what JSON would change
		}
		same, err := Read(asEvents(t, text, int(cut)+1), "f")
		require.NoError(t, err)
		nowhere(same)
		require.Equal(t, string(doc), string(checkReport(t, same)))
	})
}

// nowhere drops the lines of the warnings, which are other ones in a stream
// of events.
func nowhere(rep *Report) {
	for i := range rep.Warnings {
		rep.Warnings[i].Line = 0
	}
	for i := range rep.Failures {
		rep.Failures[i].Line = 0
	}
}

// asEvents makes test2json events of a text, torn into pieces of so many bytes.
func asEvents(t *testing.T, text []byte, piece int) io.Reader {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	require.NoError(t, enc.Encode(map[string]string{"Action": "start"}))
	runes := []rune(string(text))
	for len(runes) > 0 {
		n := min(piece, len(runes))
		require.NoError(t, enc.Encode(map[string]string{"Action": "output", "Output": string(runes[:n])}))
		runes = runes[n:]
	}
	return &out
}

// FuzzReadEvents reads any input as a stream of events.
func FuzzReadEvents(f *testing.F) {
	for _, line := range []string{
		`{"Action":"output","Output":"BenchmarkThroughput \t 1\t 5 ns/op\n"}`,
		`{"Action":"output","Output":"BenchmarkThroughput"}` + "\n" + `{"Action":"output","Output":" 1 5 ns/op\n"}`,
		`{"Action":"skip","Test":"BenchmarkDisk"}` + "\n[]\n{}\nnull\n",
		`{"Action":1}` + "\n" + `{"Action":"output","Output":"--- FAIL: BenchmarkDisk/op=seq_read/size=1MiB\n`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, events []byte) {
		rep, err := Read(io.MultiReader(strings.NewReader("{}\n"), bytes.NewReader(events)), "f")
		require.NoError(t, err)
		checkReport(t, rep)
	})
}
