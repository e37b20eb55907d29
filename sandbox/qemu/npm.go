package qemu

import (
	"context"
	"errors"
)

const npmPackage, npmLock = "", ""

func installNPM(ctx context.Context, dir string, arch Arch) ([]Package, error) {
	return nil, errors.New("no full profile")
}
