package blockio

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Mount says what is mounted where a directory is: filesystem, options,
// source, and of a block device its queue, as in
// "ext4 rw,relatime on /dev/vda, scheduler none, read_ahead_kb 4096,
// nr_requests 256". It is "" if nobody knows.
func Mount(dir string) string {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return ""
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(real))
	if err != nil || len(mounts) == 0 {
		return ""
	}
	at := mounts[0]
	for _, m := range mounts { // the deepest, and of several on one place the last
		if len(m.Mountpoint) >= len(at.Mountpoint) {
			at = m
		}
	}
	text := fmt.Sprintf("%s %s on %s", at.FSType, joinOptions(at.Options, at.VFSOptions), cmp.Or(at.Source, "none"))
	block := fmt.Sprintf("/sys/dev/block/%d:%d/", at.Major, at.Minor)
	for _, name := range []string{"scheduler", "read_ahead_kb", "nr_requests"} {
		for _, queue := range []string{"queue/", "../queue/"} { // a partition has that of its disk
			if value, err := os.ReadFile(block + queue + name); err == nil {
				text += ", " + name + " " + selected(strings.TrimSpace(string(value)))
				break
			}
		}
	}
	return text
}

// joinOptions joins the options of a mount and of its filesystem, each once.
func joinOptions(of ...string) string {
	var out []string
	seen := make(map[string]bool)
	for o := range strings.SplitSeq(strings.Join(of, ","), ",") {
		if o != "" && !seen[o] {
			seen[o] = true
			out = append(out, o)
		}
	}
	return strings.Join(out, ",")
}

// selected returns the one in brackets of "[none] mq-deadline".
func selected(text string) string {
	if _, rest, ok := strings.Cut(text, "["); ok {
		text, _, _ = strings.Cut(rest, "]")
	}
	return text
}
