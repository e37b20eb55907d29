// Command manifest reads a Kubernetes Job from standard input as the API server
// does with strict field validation: a field that is not of k8s.io/api's types,
// or is there twice, is an error. It is a module of its own, so that the product
// does not depend on these types.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := check(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "manifest:", err)
		os.Exit(1)
	}
}

// check holds a manifest to the types, and to what of it the trial relies on.
func check(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var job batchv1.Job
	if text, err = yaml.YAMLToJSONStrict(text); err != nil {
		return err
	}
	// As the API server reads: the case of a name counts.
	if strict, err := json.UnmarshalStrict(text, &job); err != nil || len(strict) > 0 {
		return errors.Join(append(strict, err)...)
	}
	spec := job.Spec
	switch {
	case job.APIVersion != "batch/v1" || job.Kind != "Job":
		return fmt.Errorf("%s %s: want a Job of batch/v1", job.APIVersion, job.Kind)
	case spec.CompletionMode == nil || *spec.CompletionMode != batchv1.IndexedCompletion:
		return fmt.Errorf("the job is not indexed")
	case spec.Completions == nil || *spec.Completions < 1 || spec.Parallelism == nil || *spec.Parallelism != *spec.Completions:
		return fmt.Errorf("want as many pods at once as shards")
	case spec.BackoffLimitPerIndex == nil:
		return fmt.Errorf("a shard that fails would fail the others")
	case spec.PodFailurePolicy == nil || len(spec.PodFailurePolicy.Rules) == 0:
		return fmt.Errorf("there is no podFailurePolicy")
	case spec.Template.Spec.RestartPolicy != "Never":
		return fmt.Errorf("restartPolicy %q: podFailurePolicy wants Never", spec.Template.Spec.RestartPolicy)
	}
	for _, rule := range spec.PodFailurePolicy.Rules {
		if rule.OnExitCodes == nil {
			continue
		}
		for _, status := range rule.OnExitCodes.Values {
			if status == 3 {
				return fmt.Errorf("status 3 has to be tried again, and rule %s takes it", rule.Action)
			}
			if status == 1 && rule.Action == batchv1.PodFailurePolicyActionFailIndex {
				fmt.Printf("%s: %d shards\n", job.Name, *spec.Completions)
				return nil
			}
		}
	}
	return fmt.Errorf("status 1 is tried again")
}
