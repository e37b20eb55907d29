//go:build !linux

package main

import (
	"context"
	"fmt"
	"io"
)

func initSystem() {}

func guestd(_ context.Context, _ io.Reader, stderr io.Writer) int {
	fmt.Fprintln(stderr, "guestd: a guest runs Linux")
	return 3
}
