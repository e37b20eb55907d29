package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/capsem/capsem-bench/cmd/capsem-bench/internal/benchstore"
	"github.com/capsem/capsem-bench/history"
)

// withStores puts the runs of a store capsem.bench.v1 in the place of its file.
// What it returns is open as long as in is.
func (in inputs) withStores(ctx context.Context) (out inputs, err error) {
	for _, f := range in {
		file, ok := f.Reader.(*os.File)
		if !ok || !benchstore.Is(file.Name()) {
			out = append(out, f)
			continue
		}
		docs, err := benchstore.Read(ctx, f.name)
		if err != nil {
			return nil, err
		}
		if len(docs) == 0 {
			return nil, fmt.Errorf("%s: no run in it", f.name)
		}
		for _, d := range docs {
			out = append(out, input{storedName(f.name, d), bytes.NewReader(d.Data), func() error { return nil }})
		}
	}
	return out, nil
}

// storedName is the name of a run of a store: benchmarks.run7.db.
func storedName(path string, d benchstore.Document) string {
	ext := filepath.Ext(path)
	return fmt.Sprintf("%s.run%d%s", strings.TrimSuffix(path, ext), d.Run, ext)
}

// storeRuns does the same for runs that history adds.
func storeRuns(ctx context.Context, sources []source) (out []source, err error) {
	for _, src := range sources {
		if len(src.files) != 1 || !benchstore.Is(src.files[0]) {
			out = append(out, src)
			continue
		}
		docs, err := benchstore.Read(ctx, src.files[0])
		if err != nil {
			return nil, err
		}
		if len(docs) == 0 {
			return nil, fmt.Errorf("%s: no run in it", src.files[0])
		}
		for _, d := range docs {
			name := storedName(src.name, d)
			out = append(out, source{name: name, labels: src.labels, stored: &history.Document{Name: name, Data: d.Data}})
		}
	}
	return out, nil
}
