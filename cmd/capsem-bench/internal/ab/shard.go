package ab

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/capsem/capsem-bench/internal/atomicfile"
	"github.com/capsem/capsem-bench/internal/digest"
	"github.com/capsem/capsem-bench/internal/record"
)

const shardSchema = "capsem-bench.shard/1"

// shardName is the file that says what a shard's directory is. It is written
// last.
const shardName = "shard.json"

// A ShardReport says where and when a shard was measured, and what its files are.
type ShardReport struct {
	Schema  string            `json:"schema"`
	Plan    string            `json:"plan_sha256"` // of plan.json
	Shard   int               `json:"shard"`
	Stage   int               `json:"stage"`
	Machine string            `json:"machine"`
	OS      string            `json:"os"`
	Arch    string            `json:"arch"`
	CPUs    int               `json:"cpus"`
	Began   float64           `json:"began"` // Unix seconds, the machine's clock
	Ended   float64           `json:"ended"`
	Before  *record.Machine   `json:"before,omitempty"` // nil: nobody looked
	After   *record.Machine   `json:"after,omitempty"`
	Files   map[string]string `json:"files,omitempty"` // path in the directory -> SHA-256
	// Status and Error are those of an attempt that measured nothing whole.
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

// ErrNoShard is returned for a number that is no shard of the plan.
var ErrNoShard = errors.New("no such shard")

// RunShard measures one shard of the plan in dir on this machine. cfg.Plan is
// that plan and cfg.Machine the name of this machine; cfg.Dir is not used. The
// shard is measured in a directory of its own that is renamed when it is
// whole, so that a shard is there whole or not at all. It reports false for
// one that was there already: the first one counts.
//
// What an attempt that failed has measured is kept in FailedDir with its
// error, as status(err) says it.
func RunShard(ctx context.Context, cfg Config, dir string, number int, status func(error) int) (made bool, err error) {
	shards := cfg.Plan.Shards()
	if number < 1 || number > len(shards) {
		return false, fmt.Errorf("shard %d: %w; the plan has 1 to %d", number, ErrNoShard, len(shards))
	}
	s := shards[number-1]
	stage, err := cfg.Plan.readStage(dir, s.Stage)
	if err != nil {
		return false, err
	}
	to := filepath.Join(dir, ShardsDir, strconv.Itoa(number))
	if isTaken(to) {
		return false, nil
	}
	rep := &ShardReport{
		Schema: shardSchema, Shard: number, Stage: s.Stage, Machine: cfg.Machine,
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Began: now(),
	}
	if rep.Plan, err = digest.File(filepath.Join(dir, PlanName)); err != nil {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return false, err
	}
	work, err := os.MkdirTemp(filepath.Dir(to), "."+strconv.Itoa(number)+"-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return false, err
	}
	cfg.Dir = work
	err = cfg.measureShard(ctx, s, stage, rep)
	rep.Ended = now()
	if err != nil {
		if ctx.Err() == nil {
			rep.Status, rep.Error = status(err), err.Error()
			err = errors.Join(err, rep.failed(dir, work))
		}
		return false, err
	}
	if err := rep.write(work); err != nil {
		return false, err
	}
	if err := os.Rename(work, to); err != nil {
		if isTaken(to) {
			return false, nil // another machine was faster
		}
		return false, err
	}
	return true, nil
}

func now() float64 { return record.Seconds(time.Now()) }

// measureShard makes the pairs of a shard in cfg.Dir.
func (cfg Config) measureShard(ctx context.Context, s Shard, stage Stage, rep *ShardReport) error {
	st, err := load(cfg.Dir, &cfg.Plan)
	if err != nil {
		return err
	}
	cfg.First = nil // it judges, which a shard does not
	t := &trial{Config: cfg, state: st, open: stage.Categories, openOps: stage.OpenOps}
	if t.Examine != nil {
		t.machine = t.Examine(ctx)
		rep.Before = &t.machine.Machine
	}
	if err := t.pairs(ctx, s.From, s.To); err != nil {
		return err
	}
	if t.Examine != nil {
		rep.After = &t.machine.Machine
	}
	return nil
}

// write puts the digests of all files of dir into the report, and it beside them.
func (r *ShardReport) write(dir string) error {
	r.Files = make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		sum, err := digest.File(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		r.Files[filepath.ToSlash(rel)] = sum
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, shardName), append(text, '\n'))
}

// failed keeps the directory of an attempt that measured nothing whole.
func (r *ShardReport) failed(dir, work string) error {
	if err := r.write(work); err != nil {
		return err
	}
	return moveAside(work, dir, r.Shard)
}

// moveAside moves the directory of a shard that does not count to FailedDir.
func moveAside(from, dir string, shard int) error {
	if err := os.MkdirAll(filepath.Join(dir, FailedDir), 0o755); err != nil {
		return err
	}
	for n := 1; ; n++ {
		to := filepath.Join(dir, FailedDir, fmt.Sprintf("%d-%d", shard, n))
		if isTaken(to) {
			continue
		}
		err := os.Rename(from, to)
		if err != nil && isTaken(to) {
			continue // another machine took the name
		}
		return err
	}
}

func isTaken(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// readReport returns the report of a shard's directory.
func readReport(dir string) (*ShardReport, error) {
	name := filepath.Join(dir, shardName)
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := new(ShardReport)
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.Schema != shardSchema {
		return nil, fmt.Errorf("%s: schema %q: want %s", name, r.Schema, shardSchema)
	}
	return r, nil
}

// Failures returns the reports of attempts that measured nothing whole, in the
// order of time.
func Failures(dir string) ([]*ShardReport, error) {
	names, err := filepath.Glob(filepath.Join(dir, FailedDir, "*", shardName))
	if err != nil {
		return nil, err
	}
	var out []*ShardReport
	for _, name := range names {
		r, err := readReport(filepath.Dir(name))
		if err != nil {
			return nil, err
		}
		if r.Status != 0 { // else it is a shard that was there twice
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b *ShardReport) int { return cmp.Compare(a.Ended, b.Ended) })
	return out, nil
}
