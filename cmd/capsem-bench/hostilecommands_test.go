package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/catalogue"
	"github.com/capsem/capsem-bench/internal/testbuild"
)

// hostileBuild is a build whose boots print a text and complaints, and end with
// a status.
const hostileBuild = `#!/bin/sh
for a; do
  case $a in --out=*) out=${a#--out=} ;; esac
done
mkdir -p "$out"
cat '%[1]s/complaints' >&2
cp '%[1]s/text' "$out/bench.txt"
exit %[2]d
`

// writeHostileBuild writes the build with s in every field of its text.
func writeHostileBuild(t *testing.T, dir, s string, status int) {
	t.Helper()
	require.NoError(t, os.Mkdir(dir, 0o755))
	b := hostileBoots(s).Next("", 1, catalogue.Startup, catalogue.HTTP)
	b.Mark, b.Machine = nil, nil // which are the host's
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text"), hostileText(t, b, s), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "complaints"), []byte(strings.Repeat(s+"\n", 3)), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, partCommand), fmt.Appendf(nil, hostileBuild, dir, status), 0o755))
}

// The same for the commands that run programs, look at the machine or call
// other programs: ab, gate of its trial, vm list and compare --benchstat.
func TestHostileFieldsOfPrograms(t *testing.T) {
	t.Parallel()
	benchstat := testbuild.Build(t, "benchstat", nil, "build", benchstatPath)
	for kind, s := range hostileTexts() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t)
			fit := filepath.Join(tr.bin, "fit.json")
			require.NoError(t, os.WriteFile(fit, []byte(fitMachine), 0o644))
			require.NoError(t, os.Symlink(benchstat, filepath.Join(tr.bin, "benchstat")))
			runtime := hostileMachines(t, s)
			tr.env = append(tr.env, "TEST_MACHINE="+fit, "XDG_RUNTIME_DIR="+runtime)
			hostileTrial(t, tr.dir, s)
			writeHostileBuild(t, filepath.Join(tr.dir, "measures"), s, exitFailed)
			writeHostileBuild(t, filepath.Join(tr.dir, "crashes"), s, exitUnfit)
			trial := func(build string) string {
				return "ab --quiet --base " + build + " --cand " + build + " --looks 6 --count 1 --seed 7 --out of-" + build
			}
			for _, c := range []struct{ format, args string }{
				{"text", trial("measures")},
				{"Markdown", trial("measures") + " --format markdown"},
				{"JSON", trial("measures") + " --format json"},
				{"CSV", trial("measures") + " --format csv"},
				{"text", "gate of-measures"},
				{"text", "history --store h.db add of-measures/cand"},
				{"text", trial("crashes")},
				{"text", "compare --benchstat base cand"},
				{"text", "vm list"},
				{"JSON", "vm list --json"},
			} {
				tr.stdout.Reset()
				tr.stderr.b.Reset()
				status := tr.run(t, strings.Fields(c.args)...)
				require.NotEqual(t, exitUsage, status, "%s: %s", c.args, tr.stderr.String())
				require.NotEmpty(t, tr.stdout.String()+tr.stderr.String(), c.args)
				checkFieldShown(t, c.args+" (standard error)", "text", tr.stderr.String())
				checkFieldShown(t, c.args, c.format, tr.stdout.String())
				if c.args == trial("measures") {
					assert.Contains(t, tr.stdout.String(), "6 boots", c.args)
				}
			}
		})
	}
}

// hostileMachines is a runtime directory with a VM whose image, which may come
// from elsewhere, says s of itself.
func hostileMachines(t *testing.T, s string) string {
	t.Helper()
	runtime, err := os.MkdirTemp("/tmp", "capsem-run-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	dir := filepath.Join(runtime, "capsem-vm-dev")
	require.NoError(t, os.Mkdir(dir, 0o700))
	clean := strings.ToValidUTF8(s, "\uFFFD")
	text, err := json.Marshal(map[string]any{
		"name": "dev", "pid": 1, "profile": clean, "arch": clean, "accel": clean, "image": clean, "vsock": clean, "host_key": clean, "key": clean, "ssh_config": clean,
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "vm.json"), text, 0o600))
	return runtime
}
