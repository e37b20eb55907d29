package userfile

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
	return name
}

func stat(t *testing.T, name string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(name)
	require.NoError(t, err)
	return info
}

// Nothing but a regular file is opened, and nothing blocks.
func TestOpenKinds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo, socket := filepath.Join(dir, "fifo"), filepath.Join(dir, "s")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	require.NoError(t, os.Symlink("fifo", filepath.Join(dir, "link")))
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	for name, want := range map[string]string{
		fifo:                       "is a named pipe; want a regular file, or - for standard input",
		filepath.Join(dir, "link"): "is a named pipe; want a regular file, or - for standard input",
		"/dev/zero":                "is a device; want a regular file, or - for standard input",
		dir:                        "is a directory; want a file in it",
		socket:                     "is a socket; want a regular file",
	} {
		_, err := Read(name)
		require.EqualError(t, err, name+" "+want)
	}
	_, err = Read(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	text, err := Read(write(t, filepath.Join(dir, "f"), "text"))
	require.NoError(t, err)
	assert.Equal(t, "text", string(text))
}

const (
	ownJSON  = `{"version":"0.3.0","capsem_bench":{"ops":{}}}`
	imported = "#capsem {\"type\":\"run\",\"source\":\"capsem json 0.3.0\"}\nBenchmarkX 1 1 ns/op\n"
	measured = "#capsem {\"type\":\"run\",\"seed\":1}\nBenchmarkX 1 1 ns/op\n"
)

func TestReplaceableKinds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		content  string
		kind     Kind
		replaces bool
	}{
		{ownJSON, Document(), true},
		{"", Document(), true},
		{`{"version":"0.3.0"}`, Document(), false}, // of Capsem's own tool
		{measured, Document(), false},
		{imported, Document(), false},
		{"[1]", Document(), false},
		{ownJSON + "x", Document(), false},
		{imported, ImportedText(), true},
		{"", ImportedText(), true},
		{measured, ImportedText(), false},
		{"note\n" + imported, ImportedText(), false},
		{ownJSON, ImportedText(), false},
	} {
		err := Replaceable(write(t, at("f"), c.content), c.kind)
		assert.Equal(t, c.replaces, err == nil, "%q as %s: %v", c.content, c.kind.Name, err)
	}
	require.NoError(t, Replaceable(at("none"), Document()))
	require.NoError(t, Replaceable("/dev/null", Document()))
	require.ErrorContains(t, Replaceable(dir, Document()), "is a directory")
}

// What is read is not replaced, however it is called.
func TestReplaceableInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := write(t, filepath.Join(dir, "in.json"), ownJSON)
	require.NoError(t, os.Symlink("in.json", filepath.Join(dir, "symlink")))
	require.NoError(t, os.Link(in, filepath.Join(dir, "hardlink")))
	for _, name := range []string{"in.json", "symlink", "hardlink", "./x/../in.json"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "x"), 0o755))
		require.ErrorContains(t, Replaceable(dir+"/"+name, Document(), stat(t, in)), "is what is read", name)
	}
	require.NoError(t, Replaceable(in, Document()), "it is ours, and nobody reads it")
}
