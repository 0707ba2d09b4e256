package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// cpuPerRead is how long one kind of read is repeated.
const cpuPerRead = 250 * time.Millisecond

type rate struct {
	PerSecond float64 `json:"per_second"`
	Found     int     `json:"found"`
}

// reads measures how many reads of a synced cache a second of CPU pays for: what is found is counted, or a field of it
// is read. The names of the reads are those of benchmarks/reads.py.
func reads(arguments []string) error {
	flags := flag.NewFlagSet("reads", flag.ExitOnError)
	url := flags.String("url", "", "the replay server")
	objects := flags.Int("objects", 10_000, "how many Pods it lists")
	flags.Int("events", 0, "not used")
	flags.String("variant", "typed-protobuf", "the only one")
	flags.Parse(arguments)
	time.AfterFunc(limit, func() {
		fmt.Fprintf(os.Stderr, "not done after %v\n", limit)
		os.Exit(1)
	})

	config := &rest.Config{Host: *url, QPS: -1}
	config.ContentType = protobuf
	factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	pods := factory.Core().V1().Pods()
	if err := pods.Informer().AddIndexers(cache.Indexers{"node": typedNode}); err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	factory.Start(stop)
	factory.WaitForCacheSync(stop)
	all, err := pods.Lister().List(labels.Everything())
	if err != nil || len(all) != *objects {
		return fmt.Errorf("%d objects: %v", len(all), err)
	}

	few, many := labels.SelectorFromSet(labels.Set{"app": "app-7"}), labels.SelectorFromSet(labels.Set{"tier": "web"})
	next := 0
	kinds := map[string]func() ([]*corev1.Pod, error){
		"get": func() ([]*corev1.Pod, error) {
			wanted := all[next%500]
			next++
			pod, err := pods.Lister().Pods(wanted.Namespace).Get(wanted.Name)
			return []*corev1.Pod{pod}, err
		},
		"by_index": func() ([]*corev1.Pod, error) {
			found, err := pods.Informer().GetIndexer().ByIndex("node", "node-7")
			typed := make([]*corev1.Pod, len(found))
			for i, obj := range found {
				typed[i] = obj.(*corev1.Pod)
			}
			return typed, err
		},
		"list, few hits":  func() ([]*corev1.Pod, error) { return pods.Lister().List(few) },
		"list, many hits": func() ([]*corev1.Pod, error) { return pods.Lister().List(many) },
	}
	found := map[string]rate{}
	for name, read := range kinds {
		for suffix, use := range map[string]func([]*corev1.Pod) int{"": untouched, ", field read": phases} {
			if found[name+suffix], err = repeat(read, use); err != nil {
				return err
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"version": clientGo(), "reads": found})
}

func untouched(pods []*corev1.Pod) int { return len(pods) }

func phases(pods []*corev1.Pod) (running int) {
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodRunning {
			running++
		}
	}
	return running
}

// repeat reads again and again, in batches that double, as looking at the clock costs more than some reads.
func repeat(read func() ([]*corev1.Pod, error), use func([]*corev1.Pod) int) (rate, error) {
	done, size := 0, 0
	began := begin()
	for batch := 1; ; batch *= 2 {
		for range batch {
			pods, err := read()
			if err != nil {
				return rate{}, err
			}
			size = use(pods)
		}
		done += batch
		if _, used := began.cost(); used > cpuPerRead.Seconds() {
			return rate{float64(done) / used, size}, nil
		}
	}
}
