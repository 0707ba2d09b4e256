package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// workers and quiet are those of benchmarks/controllers.py.
const workers, quiet = 16, 500 * time.Millisecond

// Settings, and why:
//   - Protobuf, and no client-side rate limit: as for the informers. Nothing is logged; the server of metrics is off, as
//     nobody asks it.
//   - The priority queue, events of every change, streamed lists, a copy of each object that is read: defaults of this
//     version, left alone.
//
// reconciler counts the runs; with fields it reads two fields of each Pod, as a controller begins.
type reconciler struct {
	client client.Client
	fields bool
	runs   atomic.Int64
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	if r.fields {
		var pod corev1.Pod
		if err := r.client.Get(ctx, request.NamespacedName, &pod); err != nil {
			return ctrl.Result{}, err
		}
		if !typedFields(&pod) {
			panic("a field is missing")
		}
	}
	r.runs.Add(1)
	return ctrl.Result{}, nil
}

// settle waits until there were so many runs, and then no more for some time; it returns how many there were.
func (r *reconciler) settle(atLeast int64) int64 {
	for seen, since := r.runs.Load(), time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if now := r.runs.Load(); now != seen {
			seen, since = now, time.Now()
		} else if seen >= atLeast && time.Since(since) > quiet {
			return r.runs.Swap(0)
		}
	}
}

type controllerReport struct {
	report
	SyncRuns  int64 `json:"sync_runs"`
	EventRuns int64 `json:"event_runs"`
}

// reconcile measures a controller against the replay server and prints a report.
func reconcile(arguments []string) error {
	flags := flag.NewFlagSet("reconcile", flag.ExitOnError)
	url := flags.String("url", "", "the replay server")
	name := flags.String("variant", "idle", "what a run does: idle or fields")
	objects := flags.Int64("objects", 10_000, "how many Pods it lists")
	events := flags.Int64("events", 20_000, "how many updates the flood has")
	flags.Parse(arguments)
	exitAfter(limit)
	log.SetLogger(logr.Discard())

	config := &rest.Config{Host: *url, QPS: -1}
	config.ContentType = protobuf
	manager, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme.Scheme, Metrics: metrics.Options{BindAddress: "0"}})
	if err != nil {
		return err
	}
	pods := &reconciler{client: manager.GetClient(), fields: *name == "fields"}
	err = ctrl.NewControllerManagedBy(manager).For(&corev1.Pod{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Complete(pods)
	if err != nil {
		return err
	}
	ask, err := asker("")
	if err != nil {
		return err
	}

	found := controllerReport{report: report{Version: linked("sigs.k8s.io/controller-runtime")}}
	collect()
	found.EmptyRSS = resident()
	began := begin()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- manager.Start(ctx) }()
	found.SyncRuns = pods.settle(*objects)
	found.SyncSeconds, found.SyncCPU = began.cost()
	if found.PeakRSS, err = peak(); err != nil {
		return err
	}
	found.RSS = resident()
	collect()
	found.RSSCollected = resident()

	began = begin()
	if err := ask(*url + "/flood"); err != nil {
		return err
	}
	found.EventRuns = pods.settle(min(*objects, *events))
	found.EventSeconds, found.EventCPU = began.cost()
	select {
	case err := <-failed:
		return fmt.Errorf("the manager has ended: %v", err)
	default:
		return json.NewEncoder(os.Stdout).Encode(found)
	}
}
