package convert

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readText reads a text that has to be readable.
func readText(t *testing.T, text string) *Report {
	t.Helper()
	rep, err := Read(strings.NewReader(text), "f")
	require.NoError(t, err)
	checkReport(t, rep)
	return rep
}

// figures lists the operations of a report with the values of their first unit.
func figuresOf(rep *Report) string {
	var out []string
	for _, res := range rep.Ops {
		if len(res.Units) == 0 {
			out = append(out, fmt.Sprintf("%s %s", res.Op.Name, res.Status))
			continue
		}
		unit := res.Units[0]
		out = append(out, fmt.Sprintf("%s %v %s", res.Op.Name, res.Values[unit].Values(), unit))
	}
	return strings.Join(out, "; ")
}

// Kind: the identity of a measurement. Rounds are rounds of one operation only
// where package, full name and number of processors agree.
func TestIdentityOfAMeasurement(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"processors", "BenchmarkE 1 1000 ns/op\nBenchmarkE-2 1 520 ns/op\nBenchmarkE-2 1 530 ns/op\n", "E [1000] ns/op; E-2 [520 530] ns/op"},
		{"packages", "pkg: example.org/a\nBenchmarkE-2 1 10 ns/op\npkg: example.org/b\nBenchmarkE-2 1 20 ns/op\n", "example.org/a.E-2 [10] ns/op; example.org/b.E-2 [20] ns/op"},
		{"package again", "pkg: example.org/a\nBenchmarkE-2 1 10 ns/op\npkg: example.org/b\nBenchmarkF-2 1 20 ns/op\npkg: example.org/a\nBenchmarkE-2 1 11 ns/op\n", "E-2 [10 11] ns/op; F-2 [20] ns/op"},
		{"a size that looks like processors", "BenchmarkE/size-16 1 1 ns/op\nBenchmarkE/size-32 1 2 ns/op\n", "E/size-16 [1] ns/op; E/size-32 [2] ns/op"},
		{"the catalogue's", "BenchmarkThroughput 1 10 ns/op\nBenchmarkThroughput-2 1 20 ns/op\n", "Throughput [10] ns/op; Throughput-2 [20] ns/op"},
		{"a foreign name of the catalogue", "pkg: example.org/q\nBenchmarkThroughput-2 1 10 ns/op\n", "Throughput-2 [10] ns/op"},
		{"two sizes", "BenchmarkHTTP/n=50/c=5 1 10 ns/op\nBenchmarkHTTP/n=500/c=5 1 20 ns/op\n", "HTTP/n=50/c=5 [10] ns/op; HTTP/n=500/c=5 [20] ns/op"},
		{
			"events of two packages at once",
			`{"Action":"output","Package":"example.org/a","Output":"BenchmarkE-2 \t"}` + "\n" +
				`{"Action":"output","Package":"example.org/b","Output":"BenchmarkE-2 \t"}` + "\n" +
				`{"Action":"output","Package":"example.org/a","Output":" 1\t10 ns/op\n"}` + "\n" +
				`{"Action":"output","Package":"example.org/b","Output":" 1\t20 ns/op\n"}` + "\n",
			"example.org/a.E-2 [10] ns/op; example.org/b.E-2 [20] ns/op",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep := readText(t, tt.text)
			assert.Equal(t, tt.want, figuresOf(rep))
			known := 0
			for _, res := range rep.Ops {
				assert.Equal(t, record.OK, res.Status, res.Op.Name)
				if res.Known {
					known++
				}
			}
			if strings.Contains(tt.name, "the catalogue") {
				assert.Zero(t, known, "no variant passes for the operation of the catalogue")
			}
		})
	}
}

// Kind: a failure that go test tells in its output. Whatever way it takes, the
// run is failed, and what was measured before is kept.
func TestFailureInBand(t *testing.T) {
	const good = "goos: linux\npkg: example.org/r\nBenchmarkPush-2   \t 1000\t   100 ns/op\n"
	for _, tt := range []struct{ name, text, reason string }{
		{"fail line", good + "FAIL\n", "FAIL"},
		{"package line", good + "FAIL\texample.org/r\t0.6s\nFAIL\n", "package example.org/r failed (0.6s)"},
		{"copied package line", good + "FAIL    example.org/r   0.600s\n", "package example.org/r failed (0.600s)"},
		{"build failed", "# example.org/q [example.org/q.test]\n./q_test.go:12:2: undefined: foo\nFAIL\texample.org/q [build failed]\n" + good + "PASS\nok  \texample.org/r\t2.1s\nFAIL\n", "package example.org/q failed (build failed)"},
		{"setup failed", "FAIL\texample.org/q [setup failed]\r\n" + good, "package example.org/q failed (setup failed)"},
		{"panic", good + "panic: boom [recovered]\n\ngoroutine 7 [running]:\nexit status 2\nFAIL\texample.org/r\t0.6s\n", "panic: boom [recovered]"},
		{"fatal error", good + "fatal error: all goroutines are asleep - deadlock!\nexit status 2\n", "fatal error: all goroutines are asleep - deadlock!"},
		{"timeout", good + "BenchmarkPop-2    \tpanic: test timed out after 10s\nrunning tests:\n\tBenchmarkPop (10s)\nFAIL\texample.org/r\t10.1s\n", "panic: test timed out after 10s"},
		{"killed", good + "signal: killed\nFAIL\texample.org/r\t9s\n", "signal: killed"},
		{"ran too long", good + "*** Test killed with quit: ran too long (11m0s).\n", "*** Test killed with quit: ran too long (11m0s)."},
		{"os.Exit", good + "exit status 1\n", "exit status 1"},
		{"status of Windows", good + "exit status 0xc0000005\n", "exit status 0xc0000005"},
		{"a signal to the binary alone", good + "SIGQUIT: quit\nPC=0x47dcc1 m=0 sigcode=0\n", "SIGQUIT: quit"},
		{"a sanitizer", good + "==17==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010\n", "==17==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010"},
		{"limit of the race detector", good + "race: limit on 8128 simultaneously alive goroutines is exceeded, dying\n", "race: limit on 8128 simultaneously alive goroutines is exceeded, dying"},
		{"a test", "--- FAIL: TestPush (0.00s)\n    r_test.go:9: no\n" + good, "TestPush failed"},
		{"a race", "WARNING: DATA RACE\n" + good + "testing.go:1617: race detected during execution of test\n", "data race"},
		{"event of a package", `{"Action":"output","Package":"example.org/q","Output":"BenchmarkA-2 \t 10\t 5 ns/op\n"}` + "\n" + `{"Action":"fail","Package":"example.org/q","Elapsed":1.2}` + "\n", "package example.org/q failed"},
		{"event of a build", `{"ImportPath":"example.org/z","Action":"build-fail"}` + "\n" + good, "package example.org/z does not build"},
		{"event of a test", `{"Action":"fail","Package":"example.org/q","Test":"TestX"}` + "\n" + good, "TestX failed"},
		{"framed", good + "\x16--- FAIL: TestPush (0.00s)\n", "TestPush failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep := readText(t, tt.text)
			require.NotEmpty(t, rep.Failures)
			assert.Equal(t, tt.reason, rep.Failures[0].Reason)
			assert.NotZero(t, rep.Failures[0].Line)
			assert.False(t, rep.OK())
			require.NotEmpty(t, rep.Ops)
			assert.Len(t, rep.Ops[0].Values["ns/op"].Values(), 1, "what was measured is kept")
		})
	}
	for _, text := range []string{
		"PASS\nok  \texample.org/r\t2.1s\n", "exit status 0\n", "exit status 0x0\n", "SIGNAL: low\n", "==> SIGINT\n", "race: on\n", "?   \texample.org/r\t[no test files]\n",
		"    r_test.go:9: panic: of a log\n", "FAILED to find a cache, go on\n", "--- SKIP: TestPush (0.00s)\n",
		`{"Action":"pass","Package":"example.org/q"}` + "\n", `{"Action":"skip","Package":"example.org/q"}` + "\n",
	} {
		assert.Empty(t, readText(t, good+text).Failures, text)
	}
}

// The benchmark that was under way when the binary died is failed too.
func TestFailureUnderWay(t *testing.T) {
	rep := readText(t, "BenchmarkPop-2    \tpanic: test timed out after 10s\n")
	require.Len(t, rep.Ops, 1)
	assert.Equal(t, record.Failed, rep.Ops[0].Status)
	assert.Equal(t, "panic: test timed out after 10s", rep.Ops[0].Reason)
	rep = readText(t, `{"Action":"fail","Package":"p","Test":"BenchmarkPop/a=1"}`+"\n")
	require.Len(t, rep.Ops, 1)
	assert.Equal(t, record.Failed, rep.Ops[0].Status)
}

// Kind: declared metadata. The text's own word about a unit comes first, but
// not about what the catalogue measures.
func TestDeclaredUnits(t *testing.T) {
	rep := readText(t, "Unit hits/op better=higher assume=nothing\nUnit ns/op better=higher\nBenchmarkA-2 1 52 hits/op 3 score 5 ns/op\nBenchmarkThroughput 1 5 ns/op\n")
	assert.Empty(t, rep.Warnings)
	a, own := rep.Ops[1], rep.Find("throughput/get")
	require.Equal(t, "A-2", a.Op.Name)
	assert.Equal(t, catalogue.Higher, rep.Unit(a, "hits/op").Better)
	assert.Equal(t, catalogue.Higher, rep.Unit(a, "ns/op").Better)
	assert.Equal(t, catalogue.Direction(""), rep.Unit(a, "score").Better)
	assert.Equal(t, catalogue.Lower, rep.Unit(own, "ns/op").Better, "a guest has no say in this")

	for text, want := range map[string]string{
		"Unit score better=up\n":  `f:1: unit line of "score": better is higher or lower, not "up"`,
		"Unit score better\n":     `f:1: unit line of "score": "better" is no key=value`,
		"Unit\n":                  "",
		"Unit 12 better=higher\n": `f:1: unit line of "12" left out: no unit`,
		"Unit score better=higher\nUnit score better=lower\n": `f:2: unit line of "score": better=lower after better=higher; the first counts`,
	} {
		rep := readText(t, text+"BenchmarkA-2 1 3 score\n")
		if want == "" {
			assert.Empty(t, rep.Warnings, text)
			continue
		}
		require.NotEmpty(t, rep.Warnings, text)
		assert.Equal(t, want, rep.Warnings[0].String())
	}
}

// Kind: the format is recognized line by line.
func TestFormatOfEachLine(t *testing.T) {
	const event = `{"Time":"2026-01-02T03:04:05Z","Action":"output","Package":"example.org/q","Output":"BenchmarkPush-2 \t"}` + "\n" +
		`{"Action":"output","Package":"example.org/q","Output":" 1000\t 101 ns/op\n"}` + "\n"
	for _, tt := range []struct{ name, text, want string }{
		{"leading text", "go: downloading example.org/dep v1.2.3\n" + event, "Push-2 [101] ns/op"},
		{"text in between", strings.Replace(event, "\n", "\nsome output of a wrapper\n", 1), "Push-2 [101] ns/op"},
		{"text after events", event + "pkg: example.org/q\nBenchmarkPush-2 1 102 ns/op\n", "Push-2 [101 102] ns/op"},
		{"events after text", "BenchmarkA 1 5 ns/op\n" + event, "A [5] ns/op; Push-2 [101] ns/op"},
		{"indented events", "  " + strings.ReplaceAll(strings.TrimSuffix(event, "\n"), "\n", "\n\t"), "Push-2 [101] ns/op"},
		{"no line end", strings.TrimSuffix(event, "\n"), "Push-2 [101] ns/op"},
		{"other JSON", `{"level":"info","msg":"hello"}` + "\n" + event, "Push-2 [101] ns/op"},
		{"CRLF", strings.ReplaceAll(event, "\n", "\r\n"), "Push-2 [101] ns/op"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep := readText(t, tt.text)
			assert.Equal(t, tt.want, figuresOf(rep))
			assert.Empty(t, rep.Warnings)
		})
	}
	rep := readText(t, event+`{"Action":"output","Package":"example.org/q","Outp`+"\n")
	require.Len(t, rep.Warnings, 1)
	assert.Contains(t, rep.Warnings[0].String(), "f:3: not a test event: ")
}

// Kind: the grammar of a result line. What is no whole result is complained
// about with its place, and is no operation.
func TestGrammarOfAResultLine(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"glued to output", "connecting... BenchmarkB-2 \t100\t 9 ns/op", `a result line of "BenchmarkB-2" is glued to other output and was left out`},
		{"glued to a result", "BenchmarkB-2 100 5 ns/opBenchmarkC-2 100 9 ns/op", "BenchmarkC-2"},
		{"glued to PASS", "BenchmarkB-2 100 5 ns/opPASS", `"ns/opPASS" is no unit`},
		{"behind a time stamp", "2026-01-02T03:04:05.0000000Z BenchmarkB-2 100 9 ns/op", "glued to other output"},
		{"log line", "Benchmarking 12 items per batch", "is no result"},
		{"another", "Benchmarks 2 of 5 done", "is no result"},
		{"a name's log line", "BenchmarkRunner 12 items per batch", `"items" is no value`},
		{"no value", "BenchmarkB-2 100", "it has no value"},
		{"no unit", "BenchmarkB-2 100 5", `"5" has no unit`},
		{"a number for a unit", "BenchmarkB-2 100 5 6 7 ns/op", `"6" is no unit`},
		{"words after it", "BenchmarkB-2 100 5 ns/op connecting...", `"connecting..." is no value`},
		{"twice the same unit", "BenchmarkB-2 100 5 ns/op 6 ns/op", `two values in "ns/op"`},
		{"torn before the number", "BenchmarkB-2 connecting...", `torn result line of "BenchmarkB-2"`},
		{"no iterations", "BenchmarkB-2 0 5 ns/op", `torn result line of "BenchmarkB-2"`},
		{"without its name", "     100\t         9 ns/op", "a result without the name of its benchmark"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep := readText(t, "BenchmarkA-2 \t100\t 5 ns/op\n"+tt.line+"\nPASS\n")
			assert.Equal(t, "A-2 [5] ns/op", figuresOf(rep))
			require.Len(t, rep.Warnings, 1, "%v", rep.Warnings)
			assert.Contains(t, rep.Warnings[0].String(), tt.want)
			assert.Contains(t, rep.Warnings[0].String(), "f:2: ")
		})
	}
	two := readText(t, "BenchmarkA-2 \tconnecting BenchmarkB-2 100 9 ns/op\n")
	assert.Empty(t, two.Ops)
	assert.Contains(t, fmt.Sprint(two.Warnings), `torn result line of "BenchmarkA-2"`)
	assert.Contains(t, fmt.Sprint(two.Warnings), `"BenchmarkB-2" is glued`)
	for _, line := range []string{
		"BenchmarkB", "BenchmarkB-2", "=== RUN   BenchmarkB", "--- BENCH: BenchmarkA-2", "    a_test.go:9: 12 items", "12 items of 30",
		"Benchmarking", "Benchmarks done", "see BenchmarkA for 12 items",
	} {
		rep := readText(t, "BenchmarkA-2 \t100\t 5 ns/op\n"+line+"\n")
		assert.Equal(t, "A-2 [5] ns/op", figuresOf(rep), line)
		assert.Empty(t, rep.Warnings, line)
	}
}

// Kind: bytes looked at before "not ours". Marks are skipped, UTF-16 and gzip
// are read, what is not unpacked here is named.
func TestEncodings(t *testing.T) {
	const text = "BenchmarkA-2 \t10\t 5 ns/op\nBenchmarkB-2 \t10\t 6 ns/op\nPASS\n"
	const want = "A-2 [5] ns/op; B-2 [6] ns/op"
	wide := func(bigEndian bool, mark string) string {
		var b bytes.Buffer
		b.WriteString(mark)
		for _, u := range utf16.Encode([]rune(strings.ReplaceAll(text, "\n", "\r\n"))) {
			if bigEndian {
				b.Write([]byte{byte(u >> 8), byte(u)})
			} else {
				b.Write([]byte{byte(u), byte(u >> 8)})
			}
		}
		return b.String()
	}
	zipped := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		require.NoError(t, w.Close())
		return b.String()
	}
	for name, text := range map[string]string{
		"plain": text, "mark": bom + text, "joined files with marks": bom + strings.Replace(text, "BenchmarkB", bom+"BenchmarkB", 1),
		"UTF-16LE": wide(false, "\xff\xfe"), "UTF-16BE": wide(true, "\xfe\xff"), "UTF-16LE without mark": wide(false, ""), "UTF-16BE without mark": wide(true, ""),
		"gzip": zipped(text), "gzip of UTF-16": zipped(wide(false, "\xff\xfe")), "gzip members": zipped(text[:30]) + zipped(text[30:]), "CRLF": strings.ReplaceAll(text, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			rep := readText(t, text)
			assert.Equal(t, want, figuresOf(rep))
			assert.Empty(t, rep.Warnings)
		})
	}
	for text, want := range map[string]string{
		"\x28\xb5\x2f\xfd....":          "f: compressed with zstd; unpack it first",
		"\xfd7zXZ\x00....":              "f: compressed with xz; unpack it first",
		"PK\x03\x04....":                "f: compressed with zip; unpack it first",
		"\xff\xfe\x00\x00B\x00\x00\x00": "f: text in UTF-32; convert it to UTF-8 first (iconv -f UTF-32)",
		"\x1f\x8bbroken, and long":      "f: broken gzip: gzip: invalid header",
		zipped(text)[:40]:               "reading f: unexpected EOF",
		zipped(zipped(zipped(text))):    "f: compressed more than twice",
	} {
		_, err := Read(strings.NewReader(text), "f")
		require.EqualError(t, err, want)
		assert.NotPanics(t, func() { _, _ = Import(new(bytes.Buffer), strings.NewReader(text), "f") })
	}
}
