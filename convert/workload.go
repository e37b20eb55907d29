package convert

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/capsem/capsem-bench/internal/catalogue"
)

// A Workload is what one operation was asked to do. Two results of an
// operation are comparable where their workloads are equal.
type Workload struct {
	Name string // the benchmark name: counts, sizes and concurrency are in it
	URL  string // the class of URL: without user, port of this machine, query and fragment
	Dirs string // the scan directories, comma separated
	Pkg  string // the Go package of a benchmark that is not ours
	// Opens says when a random read of the rootfs opens its file: at the first
	// read of the file, as Capsem's tool does, or at each one, as version 0.1.0
	// of this one did. "" for other operations and where there is no figure.
	Opens string
}

const (
	opensFirst = "at the first read of a file"
	opensEach  = "at each read"
)

// Workload returns the workload of one of the report's operations.
func (r *Report) Workload(res *Result) Workload {
	w := Workload{Name: res.Op.Name, Pkg: res.Pkg}
	if cat := r.Categories[res.Op.Category]; cat != nil {
		w.Dirs = strings.Join(cat.ScanDirs, ",")
		if cat.URL != "" {
			w.URL = endpoint(cat.URL)
		}
	}
	if res.Op.ID == "rootfs/rand_read_4k" {
		w.Opens = r.opens(res)
	}
	return w
}

// opens tells the two kinds of work apart: only the one that opens a file once
// has the time of an open, and a document of Capsem's own tool has that work.
func (r *Report) opens(res *Result) string {
	switch {
	case len(res.Units) == 0:
		return ""
	case slices.Contains(res.Units, "open-p50-ns"), r.Run != nil && r.Run.Source != "":
		return opensFirst
	}
	return opensEach
}

// workload is a fingerprint of what was asked to be measured, whole and by
// category: two documents are comparable where it agrees.
func (r *Report) workload() fields {
	all := sha256.New()
	categories := fields{}
	for _, c := range catalogue.Categories() {
		ops := r.known(c)
		if len(ops) == 0 {
			continue
		}
		var text strings.Builder
		for _, res := range ops {
			w := r.Workload(res)
			fmt.Fprintln(&text, w.Name, "url", w.URL, "dirs", w.Dirs)
			if w.Opens == opensFirst {
				fmt.Fprintln(&text, "opens", w.Opens)
			}
		}
		sum := sha256.Sum256([]byte(text.String()))
		_, _ = all.Write([]byte(text.String()))
		categories = append(categories, member{string(c), hex.EncodeToString(sum[:8])})
	}
	return fields{{"fingerprint", hex.EncodeToString(all.Sum(nil)[:8])}, {"categories", categories}}
}

// endpoint is a URL without user, query and fragment. The port of a server on
// this machine is left out too: it is another one in every run.
func endpoint(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	host := u.Host
	if isLocal(u.Hostname()) {
		host = "localhost"
	}
	return u.Scheme + "://" + host + u.Path
}

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
