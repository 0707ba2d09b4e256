package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type latencies struct {
	Version   string             `json:"version"`
	Latencies map[string]float64 `json:"latencies_ms"`
	Seen      int                `json:"seen"`
	CPU       float64            `json:"cpu"`
}

// latency measures, for each update of a ConfigMap, the time from its annotation "sent" to the handler: nanoseconds
// of the same machine's clock. Updates without one warm the path up and are not counted.
func latency(arguments []string) error {
	flags := flag.NewFlagSet("latency", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	namespace := flags.String("namespace", "default", "whose ConfigMaps are updated")
	count := flags.Int("count", 0, "how many updates are measured")
	flags.Parse(arguments)
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType, config.QPS = protobuf, -1 // as in the informer against the replay server
	exitAfter(limit)

	factory := informers.NewSharedInformerFactoryWithOptions(
		kubernetes.NewForConfigOrDie(config), 0, informers.WithNamespace(*namespace))
	found := make([]time.Duration, 0, *count)
	done := make(chan struct{})
	registration, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, obj any) {
			now := time.Now().UnixNano()
			sent, err := strconv.ParseInt(obj.(*corev1.ConfigMap).Annotations["sent"], 10, 64)
			if err != nil {
				return
			}
			if found = append(found, time.Duration(now-sent)); len(found) == *count {
				close(done)
			}
		},
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	factory.StartWithContext(ctx)
	<-registration.HasSyncedChecker().Done()
	fmt.Println("ready")

	before := cpu()
	<-done
	used := (cpu() - before).Seconds()
	slices.Sort(found)
	return json.NewEncoder(os.Stdout).Encode(latencies{clientGo(), summary(found), len(found), used})
}

// summary returns quantiles of sorted durations, in milliseconds.
func summary(sorted []time.Duration) map[string]float64 {
	quantile := func(q float64) float64 {
		rank := int(math.Ceil(q*float64(len(sorted)))) - 1
		return sorted[rank].Seconds() * 1e3
	}
	return map[string]float64{"p50": quantile(0.5), "p99": quantile(0.99), "max": quantile(1)}
}
