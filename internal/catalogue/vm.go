package catalogue

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// The categories of whole VMs. The host measures them, one life of a VM a boot,
// and the guest binary has no function of them. Where Capsem's own documents
// have the same phase it has the same name here: provision, exec_ready, exec,
// delete and total of its lifecycle, the four of its fork.
const (
	Lifecycle Category = "lifecycle" // from nothing to a VM that is gone again
	Fork      Category = "fork"      // a copy of a VM with a changed workspace
	Parallel  Category = "parallel"  // several VMs at once
	Exec      Category = "exec"      // commands in a VM that runs
)

// The operations of the categories of VMs.
const (
	OpProvision = "provision"  // until the VM's processes run, or the product says that it made the VM
	OpExecReady = "exec_ready" // from then to the end of the first command
	OpExec      = "exec"       // the second command
	OpDelete    = "delete"     // from the request until nothing of the VM is left
	OpTotal     = "total"      // the four above
	OpFloor     = "floor"      // an empty VM with the same kernel, from start to end

	OpFork          = "fork"           // the copy
	OpImageSize     = "image_size"     // bytes that it takes
	OpBootProvision = "boot_provision" // of the copy
	OpBootReady     = "boot_ready"     // from the start of its boot to the end of the first command

	OpVM  = "vm"  // one VM's category, mean of all
	OpAll = "all" // from the first VM's start to the last one's end

	OpTrue   = "true"   // the command that people type: it connects and logs in
	OpKept   = "kept"   // over a connection that is there already
	OpStdin  = "stdin"  // bytes into a command
	OpStdout = "stdout" // bytes out of one
)

// The parts of a VM whose memory is measured.
const (
	MemoryEmulator   = "emulator"   // the process that is the VM
	MemoryCompanions = "companions" // the device processes beside it
	MemoryGuest      = "guest"      // what the guest's kernel says is in use
)

// LifecycleOp is one phase of a VM's life.
func LifecycleOp(op string) Op { return vmOp(Lifecycle, op, "a sandbox that makes VMs") }

// StageOp is one stage of a boot, whose names are the sandbox's.
func StageOp(stage string) Op {
	op := LifecycleOp("boot")
	op.ID += "/" + stage
	op.Name += "/stage=" + stage
	return op
}

// MemoryOp is the memory of a part of a running VM. Memory of the guest that
// several processes have mapped counts whole in each one's resident set (RSS)
// and in shares in the proportional one (PSS, proc_pid_smaps(5)).
func MemoryOp(of string) Op {
	op := LifecycleOp("memory")
	op.ID += "/" + of
	op.Name += "/of=" + of
	op.Units, op.Primary = []string{"rss-B", "pss-B"}, []string{"pss-B"}
	if of == MemoryGuest {
		op.Units, op.Primary = []string{"size-B"}, []string{"size-B"}
	}
	return op
}

// ForkOp is one phase of a fork.
func ForkOp(op string) Op {
	o := vmOp(Fork, op, "a sandbox that forks VMs")
	if op == OpImageSize {
		o.Units, o.Primary = []string{"size-B"}, []string{"size-B"}
	}
	return o
}

// ParallelOp is what a number of VMs do at once.
func ParallelOp(vms int, op string) Op {
	o := vmOp(Parallel, op, "a sandbox that makes VMs")
	o.ID = fmt.Sprintf("parallel/%d/%s", vms, op)
	o.Name = fmt.Sprintf("Parallel/vms=%d/op=%s", vms, op)
	if op == OpVM && vms > 1 {
		o.Units = append(o.Units, "slowdown")
	}
	return o
}

// ExecCountOp is a number of commands in a running VM, one after another.
func ExecCountOp(op string, count int) Op {
	o := vmOp(Exec, op, "a VM that runs")
	o.Name += fmt.Sprintf("/count=%d", count)
	o.Count = count
	o.Units = []string{"ns/op", "p50-ns", "p95-ns", "max-ns"}
	return o
}

// ExecBytesOp is a number of MiB through the standard input or output of a
// command in a running VM.
func ExecBytesOp(op string, mb int) Op {
	o := vmOp(Exec, op, "a VM that runs")
	o.Name += fmt.Sprintf("/size=%dMiB", mb)
	o.Bytes = int64(mb) << 20
	o.Units, o.Primary = []string{"ns/op", "B/s"}, []string{"B/s"}
	return o
}

func vmOp(c Category, op, needs string) Op {
	return Op{
		Category: c, ID: string(c) + "/" + op, Name: c.vmFunc() + "/op=" + op, Count: 1,
		Units: []string{"ns/op"}, Primary: []string{"ns/op"}, Needs: needs,
	}
}

// vmFunc begins the names of a category's operations.
func (c Category) vmFunc() string { return strings.ToUpper(string(c[:1])) + string(c[1:]) }

// vmName is the form of the names, and of the IDs in lower case with slashes
// for the keys. The numbers are bounded: a name comes out of a text. It is
// compiled when a name needs it: that takes 2 ms, and most starts of the command
// and of the guest binary read no such name.
var vmName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:` +
		`(Lifecycle)/op=(provision|exec_ready|exec|delete|total|floor)` +
		`|(Lifecycle)/op=boot/stage=([a-z0-9_]{1,64})` +
		`|(Lifecycle)/op=memory/of=(emulator|companions|guest)` +
		`|(Fork)/op=(fork|image_size|boot_provision|boot_ready)` +
		`|(Parallel)/vms=([1-9][0-9]{0,3})/op=(vm|all)` +
		`|(Exec)/op=(true|kept)/count=([1-9][0-9]{0,5})` +
		`|(Exec)/op=(stdin|stdout)/size=([1-9][0-9]{0,5})MiB` +
		`)$`)
})

// lookupVM finds the operation of a name of the functions above.
func lookupVM(name string) (Op, bool) {
	m := vmName().FindStringSubmatch(name)
	switch {
	case m == nil:
		return Op{}, false
	case m[1] != "":
		return LifecycleOp(m[2]), true
	case m[3] != "":
		return StageOp(m[4]), true
	case m[5] != "":
		return MemoryOp(m[6]), true
	case m[7] != "":
		return ForkOp(m[8]), true
	case m[9] != "":
		return ParallelOp(number(m[10]), m[11]), true
	case m[12] != "":
		return ExecCountOp(m[13], number(m[14])), true
	}
	return ExecBytesOp(m[16], number(m[17])), true
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // the pattern has no others
	return n
}

// The defaults of the categories of VMs.
const (
	DefaultExecs     = 20
	DefaultExecMB    = 100 // MiB
	DefaultParallel  = 4   // VMs, as Capsem has it
	DefaultLifecycle = 10  // VMs made one after another
)

// vmByID is lookupVM by the ID; of exec with the default sizes.
func vmByID(id string) (Op, bool) {
	category, rest, _ := strings.Cut(id, "/")
	switch c := Category(category); c {
	case Lifecycle:
		if stage, ok := strings.CutPrefix(rest, "boot/"); ok {
			return lookupVM("Lifecycle/op=boot/stage=" + stage)
		}
		if of, ok := strings.CutPrefix(rest, "memory/"); ok {
			return lookupVM("Lifecycle/op=memory/of=" + of)
		}
		return lookupVM("Lifecycle/op=" + rest)
	case Fork:
		return lookupVM("Fork/op=" + rest)
	case Parallel:
		vms, op, _ := strings.Cut(rest, "/")
		return lookupVM("Parallel/vms=" + vms + "/op=" + op)
	case Exec:
		if op, ok := lookupVM(fmt.Sprintf("Exec/op=%s/count=%d", rest, DefaultExecs)); ok {
			return op, true
		}
		return lookupVM(fmt.Sprintf("Exec/op=%s/size=%dMiB", rest, DefaultExecMB))
	}
	return Op{}, false
}
