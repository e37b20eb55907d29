package qemu

import (
	"bytes"
	"debug/elf"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// What the program does is seen in a VM only: it powers the machine off.
func TestEmptyInit(t *testing.T) {
	for arch, machine := range map[Arch]elf.Machine{AMD64: elf.EM_X86_64, ARM64: elf.EM_AARCH64} {
		program := emptyInit(arch)
		f, err := elf.NewFile(bytes.NewReader(program))
		require.NoError(t, err)
		assert.Equal(t, elf.ET_EXEC, f.Type)
		assert.Equal(t, machine, f.Machine)
		require.Len(t, f.Progs, 1)
		p := f.Progs[0]
		assert.Equal(t, elf.PF_R|elf.PF_X, p.Flags)
		assert.EqualValues(t, len(program), p.Filesz)
		assert.EqualValues(t, initAddress+64+56, f.Entry)
		text, err := io.ReadAll(p.Open())
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(string(text), vmconfig.StageLine(vmconfig.StageOff, 0, "")))
	}
}

func TestReadStages(t *testing.T) {
	s := newStages(nil)
	s.Mark("devices")
	s.mark("kernel", time.Second)
	var text strings.Builder
	text.WriteString("capsem-bench: the VM is emulated\n")
	s.Write(&text)
	got, err := ReadStages(text.String())
	require.NoError(t, err)
	require.Len(t, got, 2)
	assert.Equal(t, "devices", got[0].Name)
	assert.InDelta(t, s.List()[1].Took.Seconds(), got[1].Took.Seconds(), 0.001)
	for _, bad := range []string{"", "no table", "stage took\nkernel", "stage took\nkernel x s", "stage took\nsome other line\n"} {
		_, err := ReadStages(bad)
		assert.Error(t, err, bad)
	}
}
