package main

import (
	"strconv"
	"strings"

	"github.com/capsem/capsem-bench/compare/boottest"
	"github.com/capsem/capsem-bench/internal/record"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptBoots writes boots that never ran into DIR/base and DIR/cand:
//
//	boots DIR [stages=16] [seed=1] [rounds=4] [noise=0.01] [sequential] [unmarked]
//	      [slow:OP=0.3] [fail:OP] [skip:OP=10] [drop:OP] [arch=...] [image=...] [kernel=...]
//	      [cpu=...] [accel=...] [url=...] [unfit=...] [endless]
//
// What differs differs on the cand side; a skip with a number in so many boots.
func scriptBoots(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: boots DIR [option...]")
	}
	stages, seed, unmarked := []int{16}, uint64(1), false
	var edits []func(*boottest.Boot)
	slow := make(map[string]float64)
	rounds, noise, sequential := 4, 0.01, false
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		what, op, _ := strings.Cut(key, ":")
		switch what {
		case "stages":
			stages = nil
			for k := range strings.SplitSeq(value, ",") {
				n, err := strconv.Atoi(k)
				ts.Check(err)
				stages = append(stages, n)
			}
		case "seed":
			n, err := strconv.ParseUint(value, 10, 64)
			ts.Check(err)
			seed = n
		case "rounds":
			n, err := strconv.Atoi(value)
			ts.Check(err)
			rounds = n
		case "noise":
			sd, err := strconv.ParseFloat(value, 64)
			ts.Check(err)
			noise = sd
		case "sequential":
			sequential = true
		case "unmarked":
			unmarked = true
		case "slow":
			by, err := strconv.ParseFloat(value, 64)
			ts.Check(err)
			slow[op] = by
		default:
			edit := bootEdit(what, op, value)
			if edit == nil {
				ts.Fatalf("boots: unknown option %q", arg)
			}
			edits = append(edits, edit)
		}
	}
	m := boottest.New(seed)
	m.Rounds, m.Boot, m.Sequential, m.Slow = rounds, noise, sequential, slow
	m.Edit = func(b *boottest.Boot) {
		if unmarked {
			b.Mark = nil
		}
		for _, edit := range edits {
			if b.Side == boottest.Cand {
				edit(b)
			}
		}
	}
	ts.Check(m.Write(ts.MkAbs(args[0]), stages...))
}

// bootEdit returns what an option changes in a boot, or nil.
func bootEdit(what, op, value string) func(*boottest.Boot) {
	switch what {
	case "fail":
		return func(b *boottest.Boot) { b.Fail(op, "it went wrong") }
	case "drop":
		return func(b *boottest.Boot) { b.Drop(op) }
	case "skip":
		left := -1
		if n, err := strconv.Atoi(value); err == nil {
			left = n
		}
		return func(b *boottest.Boot) {
			if left != 0 {
				left--
				b.Skip(op, "no such program")
			}
		}
	case "cpu":
		return func(b *boottest.Boot) { b.Run.CPU = value }
	case "accel":
		return func(b *boottest.Boot) { b.Run.Accel = value }
	case "url":
		return func(b *boottest.Boot) { b.Categories[1].URL = value }
	case "unfit":
		return func(b *boottest.Boot) {
			b.Machine = []record.Machine{{Type: record.TypeMachine, Unfit: []string{value}}, {Type: record.TypeMachine}}
		}
	case "endless":
		return func(b *boottest.Boot) { b.End = nil }
	case "arch":
		return func(b *boottest.Boot) { b.Run.Arch = value }
	case "image":
		return func(b *boottest.Boot) { b.Run.Image = value }
	case "kernel":
		return func(b *boottest.Boot) { b.Run.Kernel = value }
	}
	return nil
}
