//go:build !linux

package atomicfile

import (
	"errors"
	"os"
)

// withoutName reports that there are no files without a name.
func withoutName(string) (*os.File, bool) { return nil, false }

func link(*os.File, string) error { return errors.ErrUnsupported }
