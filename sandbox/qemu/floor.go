package qemu

import (
	"bytes"
	"context"
	"encoding/binary"
	"path/filepath"
	"time"

	"github.com/capsem/capsem-bench/internal/vmconfig"
)

// floorLimit is far above what the emptiest guest takes: 3 s under TCG.
const floorLimit = 2 * time.Minute

// Floor is how long the least takes that can be called a boot: from here to
// the end of QEMU, with the image's kernel, an init of a few instructions that
// says so and powers off, and no device. What a machine of these options takes
// beyond that is ours.
func Floor(ctx context.Context, opt Options) (time.Duration, error) {
	begin := time.Now()
	err := bootOnly(ctx, opt, floorLimit, func(initrd string) error {
		return writeArchive(initrd, func(c *cpioWriter) error {
			c.charDevice("dev/console", 5, 1)
			c.file("init", 0o755, emptyInit(opt.Image.Arch))
			return nil
		})
	})
	return time.Since(begin), err
}

// initAddress is where emptyInit is loaded, as most programs are.
const initAddress = 0x400000

// emptyInit is a static program of two system calls: it writes the stage that
// says that the guest powers off, and does so (reboot(2)).
//
// The program is one loadable segment (elf(5)): file header, program header,
// code, text.
func emptyInit(arch Arch) []byte {
	const headers = 64 + 56
	text := vmconfig.StageLine(vmconfig.StageOff, 0, "")
	machine, code := uint16(62), emptyAMD64 // EM_X86_64
	if arch == ARM64 {
		machine, code = 183, emptyARM64 // EM_AARCH64
	}
	length := len(code(0, 0))
	body := append(code(uint32(initAddress+headers+length), uint32(len(text))), text...)
	var out bytes.Buffer
	out.WriteString("\x7fELF\x02\x01\x01" + string(make([]byte, 9))) // 64 bits, little endian, version 1
	le := binary.LittleEndian
	for _, v := range []any{
		uint16(2), machine, uint32(1), uint64(initAddress + headers), uint64(64), uint64(0), // ET_EXEC, entry, headers
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(initAddress), uint64(initAddress), // PT_LOAD, readable and executable
		uint64(headers + len(body)), uint64(headers + len(body)), uint64(0x10000),
	} {
		_ = binary.Write(&out, le, v) // a buffer takes everything
	}
	out.Write(body)
	return out.Bytes()
}

// The arguments of reboot(2).
const (
	rebootMagic1   = 0xfee1dead
	rebootMagic2   = 0x28121969
	rebootPowerOff = 0x4321fedc
)

// emptyAMD64 is write(1, text, size), reboot(...), and a loop, in the calling
// convention of syscall(2).
func emptyAMD64(text, size uint32) (code []byte) {
	const eax, edi, esi, edx = 0xb8, 0xbf, 0xbe, 0xba // mov to them
	set := func(register byte, v uint32) {
		code = binary.LittleEndian.AppendUint32(append(code, register), v)
	}
	call := func(number, a, b, c uint32) {
		set(eax, number)
		set(edi, a)
		set(esi, b)
		set(edx, c)
		code = append(code, 0x0f, 0x05) // syscall
	}
	call(1, 1, text, size)
	call(169, rebootMagic1, rebootMagic2, rebootPowerOff)
	return append(code, 0xeb, 0xfe) // jmp to itself
}

// emptyARM64 is the same for arm64.
func emptyARM64(text, size uint32) (code []byte) {
	emit := func(op uint32) { code = binary.LittleEndian.AppendUint32(code, op) }
	set := func(register, v uint32) {
		emit(0x52800000 | v&0xffff<<5 | register) // movz
		emit(0x72a00000 | v>>16<<5 | register)    // movk, lsl 16
	}
	call := func(number, a, b, c uint32) {
		set(8, number)
		set(0, a)
		set(1, b)
		set(2, c)
		emit(0xd4000001) // svc 0
	}
	call(64, 1, text, size)
	call(142, rebootMagic1, rebootMagic2, rebootPowerOff)
	emit(0x14000000) // b to itself
	return code
}

// bootOnly boots a machine without devices from the initramfs that write
// makes, and returns when the guest has said that it powers off.
func bootOnly(ctx context.Context, opt Options, limit time.Duration, write func(initrd string) error) error {
	vm, err := newProbe(opt)
	if err != nil {
		return err
	}
	defer vm.Close()
	initrd := filepath.Join(vm.dir, "initrd")
	if err := write(initrd); err != nil {
		return err
	}
	return vm.runToOff(ctx, initrd, limit)
}
