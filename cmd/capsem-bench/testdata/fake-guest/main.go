// Command fake-guest is a guest binary whose operations take no time: it prints
// the text of a boot with startup's operations. The file .slow in its home names one
// that takes 30 % longer; hang makes it do nothing until it is interrupted.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

// hang says that it is there, and waits for an interrupt.
func hang(home string) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	_ = os.WriteFile(filepath.Join(home, "hanging"), nil, 0o644)
	<-c
	os.Exit(130)
}

func main() {
	home, err := os.UserHomeDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	slow, _ := os.ReadFile(filepath.Join(home, ".slow")) // none is slower where there is no such file
	if strings.TrimSpace(string(slow)) == "hang" {
		hang(home)
	}
	clis := []string{"python3", "node", "claude", "gemini", "codex"}
	var names []string
	for _, cli := range clis {
		names = append(names, "Startup/cli="+cli)
	}
	fmt.Printf(`#capsem {"type":"run","schema":"capsem-bench.text/1","version":"0.1.0","time":1,"seed":1,"hostname":"fake",`+
		`"arch":"x86_64","cpu":"fake","root":true,"sandbox":"command","rounds":1,"expected":["%s"]}`+"\n", strings.Join(names, `","`))
	for i, name := range names {
		ns := 1e8 * (1 + 0.02*rand.Float64())
		if strings.TrimSpace(string(slow)) == clis[i] {
			ns *= 1.3
		}
		fmt.Printf("Benchmark%s 1 %.0f ns/op\n", name, ns)
		fmt.Printf(`#capsem {"type":"status","op":"%s","status":"ok"}`+"\n", name)
	}
	fmt.Println(`#capsem {"type":"end","time":2,"elapsed_ns":1,"status":"ok"}`)
}
