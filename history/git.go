package history

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"
)

// A Version is one state of a result file in a repository.
type Version struct {
	Commit   string // abbreviated
	Time     time.Time
	Document Document
}

// GitVersions calls yield with every version of every result file (.json,
// .txt) below dir that the history of a repository has, oldest commit first.
// It stops at the first error of yield. It needs git in PATH and changes
// nothing.
func GitVersions(ctx context.Context, repo, dir string, yield func(Version) error) error {
	out, err := git(ctx, repo, "log", "--reverse", "--no-renames", "--diff-filter=AM", "--format=%x00%h %ct", "--name-only", "-z", "--", dir)
	if err != nil {
		return err
	}
	var v Version
	for _, field := range bytes.Split(out, []byte{0}) {
		field = bytes.TrimPrefix(field, []byte("\n"))
		head, rest, ok := strings.Cut(string(field), " ")
		if seconds, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); ok && err == nil && isHash(head) {
			v.Commit, v.Time = head, time.Unix(seconds, 0).UTC()
			continue
		}
		name := string(field)
		if ext := path.Ext(name); v.Commit == "" || ext != ".json" && ext != ".txt" {
			continue
		}
		data, err := git(ctx, repo, "cat-file", "blob", v.Commit+":"+name)
		if err != nil {
			return err
		}
		v.Document = Document{name, data}
		if err := yield(v); err != nil {
			return err
		}
	}
	return nil
}

func isHash(s string) bool {
	return len(s) >= 4 && strings.Trim(s, "0123456789abcdef") == ""
}

func git(ctx context.Context, repo string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", repo, "-c", "core.quotePath=false"}, args...)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		line, _ := bufio.NewReader(&complaint).ReadString('\n')
		return nil, fmt.Errorf("git %s in %s: %w: %s", args[0], repo, err, strings.TrimSpace(line))
	}
	return out.Bytes(), nil
}
