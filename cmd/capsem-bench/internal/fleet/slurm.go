package fleet

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Slurm has shards measured by array jobs of Slurm, one node each, which it
// shares with nobody. The trial's directory has to be on a file system that the
// nodes share. It uses sbatch, squeue and scancel, and no accounting.
type Slurm struct {
	Dir    string // of the trial, absolute
	Script string // of sh, that measures the shard whose number is appended
	Name   string // of the jobs: the same for every follower of the directory, and nobody else's
	// Options of sbatch; "" leaves the choice to Slurm.
	Partition, Constraint, Time string
}

// Submit hands in an array job for each set of nodes to avoid.
func (s *Slurm) Submit(ctx context.Context, tasks []Task) (jobs []string, err error) {
	byAvoid := make(map[string][]string)
	var order []string
	for _, t := range tasks {
		key := strings.Join(t.Avoid, ",")
		if byAvoid[key] == nil {
			order = append(order, key)
		}
		byAvoid[key] = append(byAvoid[key], strconv.Itoa(t.Shard))
	}
	for _, avoid := range order {
		job, err := s.submit(ctx, byAvoid[avoid], avoid)
		if err != nil && avoid != "" && ctx.Err() == nil {
			job, err = s.submit(ctx, byAvoid[avoid], "") // there is no other node
		}
		if err != nil {
			return jobs, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

func (s *Slurm) submit(ctx context.Context, shards []string, avoid string) (job string, err error) {
	args := []string{
		"--parsable", "--job-name=" + s.Name, "--array=" + strings.Join(shards, ","),
		"--nodes=1", "--ntasks=1", "--exclusive", "--requeue", "--open-mode=append",
		"--chdir=" + s.Dir, "--output=" + filepath.Join(s.Dir, "jobs", "%A_%a.txt"),
	}
	for _, o := range []struct{ name, value string }{
		{"partition", s.Partition}, {"constraint", s.Constraint}, {"time", s.Time}, {"exclude", avoid},
	} {
		if o.value != "" {
			args = append(args, "--"+o.name+"="+o.value)
		}
	}
	script := "#!/bin/sh\n" + s.Script + ` "$SLURM_ARRAY_TASK_ID"` + "\n"
	out, err := output(ctx, script, "sbatch", args...)
	if err != nil {
		return "", err
	}
	job, _, _ = strings.Cut(strings.TrimSpace(out), ";") // the cluster's name may follow
	if _, err := strconv.Atoi(job); err != nil {
		return "", fmt.Errorf("sbatch said %q: want the number of a job", out)
	}
	return job, nil
}

// Poll asks squeue for the jobs of that name, also for those that ended a
// short time ago.
func (s *Slurm) Poll(ctx context.Context) (map[int]Status, error) {
	out, err := output(ctx, "", "squeue", "--noheader", "--array", "--states=all", "--name="+s.Name, "--format=%F|%K|%T|%N")
	if err != nil {
		return nil, err
	}
	return parseQueue(out)
}

// parseQueue reads squeue's lines: job, place in the array, state, nodes. A
// shard that was handed in again has several; a live one counts.
func parseQueue(out string) (map[int]Status, error) {
	known := make(map[int]Status)
	last := make(map[int]int)
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 4 {
			return nil, fmt.Errorf("squeue said %q: want job|shard|state|node", line)
		}
		job, err := strconv.Atoi(fields[0])
		shard, err2 := strconv.Atoi(fields[1])
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("squeue said %q: want job|shard|state|node", line)
		}
		if job < last[shard] {
			continue
		}
		last[shard] = job
		known[shard] = Status{State: slurmState(fields[2]), Machine: nodeName(fields[3])}
	}
	return known, nil
}

// slurmState sorts the job states of squeue(1).
func slurmState(word string) State {
	switch {
	case slices.Contains([]string{"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}, word):
		return Queued
	case slices.Contains([]string{"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}, word):
		return Running
	}
	return Ended // COMPLETED, FAILED, CANCELLED, TIMEOUT, NODE_FAIL, OUT_OF_MEMORY, BOOT_FAIL, DEADLINE, PREEMPTED, REVOKED
}

// Cancel has Slurm end jobs.
func (s *Slurm) Cancel(ctx context.Context, jobs []string) error {
	_, err := output(ctx, "", "scancel", append([]string{"--quiet"}, jobs...)...)
	return err
}

func output(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}

// nodeName is a node as squeue says it; "" where a job has none.
func nodeName(word string) string {
	if strings.HasPrefix(word, "(") {
		return ""
	}
	return word
}
