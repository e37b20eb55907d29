package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/capsem/capsem-bench/sandbox/qemu"
)

// progressLines is what the progress line showed, one line after the other.
func progressLines(t *testing.T, f func(p *progress)) (lines []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&term{w: &out, tty: true}, false)
		f(p)
		p.Close()
		for line := range strings.SplitSeq(out.String(), "\r\x1b[K") {
			if len(lines) == 0 || line != lines[len(lines)-1] {
				lines = append(lines, line)
			}
		}
	})
	return lines
}

// A step that says how far it is goes on: it appears after two seconds,
// however often it speaks.
func TestProgressOfOneStep(t *testing.T) {
	t.Parallel()
	lines := progressLines(t, func(p *progress) {
		for i := range 40 {
			p.step(fmt.Sprintf("image: compressing, %d MiB", i/10), 0)
			time.Sleep(100 * time.Millisecond)
		}
		p.step("image: npm", 0)
		time.Sleep(time.Second)
	})
	text := strings.Join(lines, "\n")
	assert.Regexp(t, `^\nimage: compressing, \d MiB  2s\n`, text, "nothing before two seconds")
	assert.Contains(t, text, "image: compressing, 3 MiB  4s\n", "the time goes on")
	assert.NotContains(t, text, "npm", "a step of one second")
}

func TestProgressOfABoot(t *testing.T) {
	t.Parallel()
	lines := progressLines(t, func(p *progress) {
		p.prefix("boot 1/2: ")
		onStage := booting(func(what string) { p.step(what, 0) })
		for _, over := range []string{"prepare", "devices", "qemu", "kernel", "modules", "rootfs", "home", "services", "ssh", "off"} {
			time.Sleep(1100 * time.Millisecond)
			onStage(qemu.StageTime{Name: over})
		}
		time.Sleep(5 * time.Second)
	})
	text := strings.Join(lines, "\n")
	assert.NotContains(t, text, "prepare")
	at := -1
	for _, stage := range []string{"qemu", "kernel", "modules", "rootfs", "home", "services", "ssh"} {
		next := strings.Index(text, "boot 1/2: booting, "+stage)
		assert.Greater(t, next, at, stage)
		at = next
	}
	assert.Equal(t, "", lines[len(lines)-1], "nothing is left of it")
}

// Elsewhere than on a terminal there is none.
func TestNoProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, p := range []*progress{newProgress(&term{w: &out}, false), newProgress(&term{w: &out, tty: true}, true)} {
		p.step("x", time.Hour)
		p.Close()
	}
	assert.Empty(t, out.String())
}

// Who decides on colour, and on characters, from the gravest word down.
func TestTerminalSettings(t *testing.T) {
	t.Parallel()
	env := func(kv ...string) func(string) string {
		return func(name string) string {
			for _, s := range kv {
				if k, v, _ := strings.Cut(s, "="); k == name {
					return v
				}
			}
			return ""
		}
	}
	for _, c := range []struct {
		tty, dumb bool
		env       []string
		want      bool
	}{
		{true, false, nil, true},
		{false, false, nil, false},
		{true, true, nil, false},
		{true, false, []string{"NO_COLOR=1"}, false},
		{true, false, []string{"CLICOLOR=0"}, false},
		{false, false, []string{"CLICOLOR_FORCE=1"}, true},
		{false, true, []string{"CLICOLOR_FORCE=1"}, true},
		{false, false, []string{"CLICOLOR_FORCE=0"}, false},
		{true, false, []string{"CLICOLOR_FORCE=1", "NO_COLOR=1"}, false},
	} {
		assert.Equal(t, c.want, colorWanted(c.tty, c.dumb, env(c.env...)), "%+v", c)
	}
	for locale, want := range map[string]bool{
		"": false, "LANG=C": true, "LANG=POSIX": true, "LANG=C.UTF-8": false, "LC_ALL=de_DE.utf8": false,
		"LC_CTYPE=de_DE.ISO-8859-1": true, "LC_ALL=de_DE": true, "TERM=dumb": true,
	} {
		assert.Equal(t, want, asciiOnly(env(locale)), locale)
	}
	assert.True(t, asciiOnly(env("LC_ALL=C", "LANG=C.UTF-8")), "LC_ALL is above LANG")
	assert.False(t, asciiOnly(env("LC_ALL=C.UTF-8", "LANG=C")))
}
