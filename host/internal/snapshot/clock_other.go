//go:build !linux

package snapshot

import "time"

func fileClock() int64     { return time.Now().UnixNano() }
func clockSlack(int) int64 { return coarse }
