// Command hostile stands in for the guest binary in tests of what a VM may do
// to its host. It begins as the guest binary does, with one operation that
// went well, and then does what CAPSEM_BENCH_HOSTILE says.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/catalogue"
)

const gigabyte = 1 << 30

// escapes is what must not reach a terminal: a title, a colour, a cleared
// screen, a device query, C1 controls, a bell, and bytes that are no UTF-8.
const escapes = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\x1b[6n\u009b5m\x9b5m\x07\x00\xff\xfe"

func main() {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	os.Stdout.Write(beginning())
	switch act := os.Getenv("CAPSEM_BENCH_HOSTILE"); act {
	case "flood":
		flood(os.Stdout, []byte("not a benchmark "+escapes+"\n"), gigabyte/8)
		flood(os.Stdout, []byte("not a benchmark "), gigabyte-gigabyte/8)
	case "complaints":
		flood(os.Stderr, []byte("complaint "+escapes+"\n"), gigabyte)
		os.Exit(1)
	case "console":
		console(8 * time.Second)
		half()
		arrived()
		powerOff()
	case "escapes":
		fmt.Printf("BenchmarkStartup/cli=node%s-2\t1\t5 ns/op\n%s\n", escapes, escapes)
		fmt.Println(`#capsem {"type":"status","op":"Startup/cli=node","status":"failed","reason":"\u001b[31mreason\u0007"}`)
		fmt.Fprintln(os.Stderr, escapes)
		os.Exit(1)
	case "half":
		half()
		arrived()
		powerOff()
	case "panic":
		half()
		arrived()
		_ = os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
		select {}
	case "mute":
		for {
			time.Sleep(time.Hour)
		}
	default:
		fmt.Fprintf(os.Stderr, "hostile: unknown act %q\n", act)
		os.Exit(2)
	}
}

// beginning is a text of which one operation of five was measured.
func beginning() []byte {
	m := boottest.New(1)
	m.Rounds = 1
	b := m.Next("", 1, catalogue.Startup)
	b.Mark, b.Categories, b.End = nil, nil, nil
	text := b.Text()
	end := bytes.Index(text, []byte("BenchmarkStartup/cli=node"))
	return text[:end]
}

// half is the first half of a line.
func half() { fmt.Print("BenchmarkStartup/cli=node-2\t1\t50") }

// arrived waits until the test has seen what was printed, and said so in the
// workspace: a machine that ends at once takes with it what it has not sent.
func arrived() {
	home, err := os.UserHomeDir()
	for err == nil {
		if _, there := os.Stat(filepath.Join(home, "arrived")); there == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "hostile:", err)
	os.Exit(2)
}

// flood writes the same again and again.
func flood(w io.Writer, what []byte, size int) {
	block := bytes.Repeat(what, 1+(1<<18)/len(what))
	for n := 0; n < size; n += len(block) {
		if _, err := w.Write(block); err != nil {
			os.Exit(1)
		}
	}
}

// console writes to the console for a while, which takes a byte at a time.
func console(d time.Duration) {
	f, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(2)
	}
	n := 0
	for end := time.Now().Add(d); time.Now().Before(end); n++ {
		fmt.Fprintf(f, "line %d %s%s\n", n, escapes, bytes.Repeat([]byte("x"), n%2000))
	}
}

// powerOff ends the machine at once.
func powerOff() {
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}
