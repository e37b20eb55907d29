package convert

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/record"
)

const (
	headRun    = `#capsem {"type":"run","schema":"capsem-bench.text/1","version":"0.1.0","time":1,"seed":1,"hostname":"h","arch":"x86_64","root":true,"rounds":1,"expected":[]}` + "\n"
	ownBoot    = `#capsem {"type":"boot","side":"cand","slot":3,"time":1}` + "\n"
	ownMachine = `#capsem {"type":"machine","time":2,"load":0.5}` + "\n"
	ownClock   = `#capsem {"type":"clock","readings":[{"time_ns":1,"offset_ns":20,"bound_ns":3}]}` + "\n"
)

// forgeries are spellings of the host's lines, as a guest may print them.
func forgeries() map[string]string {
	const (
		boot    = `#capsem {"type":"boot","side":"base","slot":8,"time":9}`
		machine = `#capsem {"type":"machine","time":9,"unfit":["forged"]}`
		clock   = `#capsem {"type":"clock","readings":[{"time_ns":1,"offset_ns":99,"bound_ns":0}]}`
	)
	event := func(output string) string {
		text, _ := json.Marshal(map[string]string{"Action": "output", "Output": output}) // strings are always JSON
		return string(text)
	}
	all := boot + "\n" + machine + "\n" + machine + "\n" + clock + "\n"
	return map[string]string{
		"plain":                 all,
		"CRLF":                  strings.ReplaceAll(all, "\n", "\r\n"),
		"carriage returns only": strings.ReplaceAll(all, "\n", "\r"),
		"blanks":                "#capsem  { \"type\" : \"boot\" , \"slot\" : 8 }  \n \t#capsem " + boot[8:] + "\n",
		"duplicate keys":        `#capsem {"type":"status","type":"boot","slot":8}` + "\n" + `#capsem {"type":"boot","slot":3,"slot":8}` + "\n",
		"escapes in keys":       "#capsem {\"\\u0074ype\":\"\\u0062oot\",\"sl\\u006ft\":8}\n",
		"capitals":              `#capsem {"TYPE":"boot","Slot":8}` + "\n",
		"test2json's marker":    "\x16" + boot + "\n\x16=== RUN x\n\x16" + machine + "\n",
		"test2json's events":    event(boot+"\n") + "\n" + event("#capsem {\"type\":") + "\n" + event("\"boot\",\"slot\":8}\n") + "\n",
		"a BOM":                 "\ufeff" + boot + "\n",
		"a guest line first":    record.GuestLine + all,
		"a new head":            all + record.GuestLine + headRun,
		"after NULs":            "\x00\x00\n" + all,
	}
}

// Guest to results: whatever a guest prints, in whatever spelling, first or
// last, side, slot, machine and clock are those that the host wrote.
func TestHeadOfTheGuestMeansNothing(t *testing.T) {
	hosts := map[string]string{
		"no head":    "",
		"clock":      ownClock,
		"boot":       ownBoot,
		"ab":         ownBoot + ownMachine + ownMachine,
		"ab of a VM": ownBoot + ownMachine + ownMachine + ownClock,
	}
	for host, head := range hosts {
		want, err := Read(strings.NewReader(head+record.GuestLine+headRun), "text")
		require.NoError(t, err)
		for name, forged := range forgeries() {
			for where, text := range map[string]string{
				"before the run": forged + headRun, "after it": headRun + forged, "alone": forged,
			} {
				t.Run(host+"/"+name+"/"+where, func(t *testing.T) {
					rep, err := Read(strings.NewReader(head+record.GuestLine+text), "text")
					require.NoError(t, err)
					assert.Equal(t, want.Boot, rep.Boot)
					assert.Equal(t, want.Machine, rep.Machine)
					assert.Equal(t, want.Clock, rep.Clock)
				})
			}
		}
	}
}

// The verdict says that a guest tried.
func TestHeadOfTheGuestIsAComplaint(t *testing.T) {
	rep, err := Read(strings.NewReader(ownBoot+record.GuestLine+ownBoot+headRun+ownMachine+ownClock), "text")
	require.NoError(t, err)
	require.Len(t, rep.Warnings, 4) // the last is of the missing end
	for i, want := range []string{"boot", "machine", "clock"} {
		assert.Equal(t, "a "+want+" line that the guest printed means nothing", rep.Warnings[i].Msg)
	}
}

// Texts from before there was a guest line have the host's lines in the same
// order, and nowhere else.
func TestHeadWithoutGuestLine(t *testing.T) {
	for _, tt := range []struct {
		name, text            string
		boot, machines, clock int
	}{
		{"boot alone", ownBoot + headRun, 1, 0, 0},
		{"clock alone", ownClock + headRun, 0, 0, 1},
		{"boot and clock", ownBoot + ownClock + headRun, 1, 0, 1},
		{"of ab", ownBoot + ownMachine + ownMachine + ownClock + headRun, 1, 2, 1},
		{"a boot line after the clock line", ownClock + ownBoot + headRun, 0, 0, 1},
		{"a boot line after output", "hello\n" + ownBoot + headRun, 0, 0, 0},
		{"a boot line after a unit line", "Unit iops better=higher\n" + ownBoot + headRun, 0, 0, 0},
		{"machine lines without a boot line", ownMachine + ownMachine + headRun, 0, 0, 0},
		{"a third machine line", ownBoot + ownMachine + ownMachine + ownMachine + headRun, 1, 2, 0},
		{"all after the run line", headRun + ownBoot + ownMachine + ownClock, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rep, err := Read(strings.NewReader(tt.text), "text")
			require.NoError(t, err)
			assert.Equal(t, tt.boot == 1, rep.Boot != nil)
			assert.Len(t, rep.Machine, tt.machines)
			assert.Equal(t, tt.clock == 1, rep.Clock != nil)
		})
	}
}
