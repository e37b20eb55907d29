package command_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"
)

// TestMain is the guest binary too: a copy of the test binary is what the
// tests copy into their guests.
func TestMain(m *testing.M) {
	if os.Getenv("CAPSEM_BENCH_SANDBOX") == "command" {
		os.Exit(guestMain(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// What a guest binary was given, as it prints it.
type seen struct {
	Args []string
	Env  []string
	Exe  string
}

func guestMain(args []string) int {
	switch args[0] {
	case "show":
		exe, _ := os.Executable()
		s := seen{Args: args, Exe: exe}
		for _, kv := range os.Environ() {
			if strings.HasPrefix(kv, "CAPSEM_BENCH_") {
				s.Env = append(s.Env, kv)
			}
		}
		_ = json.NewEncoder(os.Stdout).Encode(s)
		fmt.Fprintln(os.Stderr, "a complaint")
		return 7
	case "wait": // for an interrupt
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		fmt.Println("ready", os.Getpid())
		select {
		case <-c:
			fmt.Println("interrupted")
			return 130
		case <-time.After(3 * soon): // where the test has died
			return 1
		}
	case "deaf": // to interrupts
		signal.Ignore(os.Interrupt)
		fmt.Println("ready", os.Getpid())
		<-time.After(3 * soon)
	}
	return 1
}
