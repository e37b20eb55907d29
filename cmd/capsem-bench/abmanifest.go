package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/pflag"
)

// manifestOptions say what a cluster measures with.
type manifestOptions struct {
	kind  string // "" prints none
	image string
	claim string
}

func (o *manifestOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.kind, "manifest", "", "print what measures the missing shards there, in place of commands: `kubernetes`")
	f.StringVar(&o.image, "image", "debian:stable-slim", "of the manifest's pods: an `IMAGE` with what the guest needs; the builds are in DIR")
	f.StringVar(&o.claim, "claim", "capsem-bench", "of the manifest: the persistent volume claim `NAME` that holds DIR, mounted by many nodes")
}

func (o *manifestOptions) check() error {
	if o.kind != "" && o.kind != "kubernetes" {
		return usage("--manifest %q: want kubernetes", o.kind)
	}
	return nil
}

// jobManifest is an Indexed Job (kubernetes.io/docs/concepts/workloads/controllers/job)
// with a pod a shard, no two of them on one node. An index whose pod ended with
// status 1 or 2 is not tried again: the new build crashes, or the plan cannot be
// read. Every other end is: an unfit machine (3), a pod that was evicted or whose
// node is lost.
const jobManifest = `apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Name }}
  labels: {app: capsem-bench}
spec:
  completionMode: Indexed
  completions: {{ len .Shards }}
  parallelism: {{ len .Shards }}
  backoffLimitPerIndex: 2
  podFailurePolicy:
    rules:
      - action: FailIndex
        onExitCodes: {operator: In, values: [1, 2]}
      - action: Ignore
        onPodConditions: [{type: DisruptionTarget}]
  template:
    metadata:
      labels: {app: capsem-bench}
    spec:
      restartPolicy: Never
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - topologyKey: kubernetes.io/hostname
              labelSelector:
                matchLabels: {app: capsem-bench}
      containers:
        - name: shard
          image: {{ quote .Image }}
          command: [sh, -c, {{ quote .Script }}]
          env:
            - name: NODE_NAME
              valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
          volumeMounts:
            - {name: trial, mountPath: /trial}
      volumes:
        - name: trial
          persistentVolumeClaim: {claimName: {{ quote .Claim }}}
`

// manifest prints the Job that measures shards of a look.
func (t *abTrial) manifest(ctx context.Context, o *manifestOptions, look int, shards []int) error {
	commands, err := t.keepCommands(ctx)
	if err != nil {
		return err
	}
	script := commands.script(func(command string) string {
		return "/trial/" + filepath.ToSlash(filepath.Join("builds", filepath.Base(filepath.Dir(command)), filepath.Base(command)))
	})
	name, err := t.jobName()
	if err != nil {
		return err
	}
	var numbers []string
	for _, n := range shards {
		numbers = append(numbers, strconv.Itoa(n))
	}
	quote := func(s string) (string, error) { // a JSON string is a YAML one
		text, err := json.Marshal(s)
		return string(text), err
	}
	tmpl := template.Must(template.New("job").Funcs(template.FuncMap{"quote": quote}).Parse(jobManifest))
	var b strings.Builder
	err = tmpl.Execute(&b, struct {
		Name, Image, Claim, Script string
		Shards                     []string
	}{
		fmt.Sprintf("%s-look-%d", name, look), o.image, o.claim,
		`set -- ` + strings.Join(numbers, " ") + `; shift "$JOB_COMPLETION_INDEX"; ` + script + ` ab shard /trial "$1" --machine "$NODE_NAME"`,
		numbers,
	})
	if err != nil {
		return exit(exitUnfit, err)
	}
	return t.a.output(b.String())
}
