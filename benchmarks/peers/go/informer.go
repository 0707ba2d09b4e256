package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Settings, and why:
//   - QPS -1: no client-side rate limit, which would only delay.
//   - typed-protobuf asks for protobuf, which the documentation recommends for built-in types and which is what the
//     components of Kubernetes do; typed-json asks for JSON. The dynamic client knows JSON only, the metadata client
//     asks for protobuf by itself.
//   - Streaming lists, events handled in batches, an atomic first list: defaults of this version, left alone.
//   - The garbage collector and the number of threads: defaults of Go, left alone.
const protobuf, jsonOnly = "application/vnd.kubernetes.protobuf", "application/json"

// limit is how long a run may take.
const limit = 300 * time.Second

// variant is one kind of informer. Those whose name ends in "-fields" have a handler that reads two fields.
type variant struct {
	pods  func(config *rest.Config) (starter, cache.SharedIndexInformer)
	index cache.IndexFunc // by node; nil where the cache has no spec
	read  func(obj any) bool
}

type starter interface{ Start(stop <-chan struct{}) }

var variants = map[string]variant{
	"typed-protobuf":        {pods: typed(protobuf), index: typedNode, read: nothing},
	"typed-protobuf-fields": {pods: typed(protobuf), index: typedNode, read: typedFields},
	"typed-json":            {pods: typed(jsonOnly), index: typedNode, read: nothing},
	"dynamic":               {pods: dynamically, index: dynamicNode, read: nothing},
	"dynamic-fields":        {pods: dynamically, index: dynamicNode, read: dynamicFields},
	"metadata":              {pods: metadataOnly, read: nothing},
}

var gvr = corev1.SchemeGroupVersion.WithResource("pods")

func typed(contentType string) func(config *rest.Config) (starter, cache.SharedIndexInformer) {
	return func(config *rest.Config) (starter, cache.SharedIndexInformer) {
		config.ContentType = contentType
		factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
		return factory, factory.Core().V1().Pods().Informer()
	}
}

func dynamically(config *rest.Config) (starter, cache.SharedIndexInformer) {
	factory := dynamicinformer.NewDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(config), 0)
	return factory, factory.ForResource(gvr).Informer()
}

func metadataOnly(config *rest.Config) (starter, cache.SharedIndexInformer) {
	factory := metadatainformer.NewSharedInformerFactory(metadata.NewForConfigOrDie(config), 0)
	return factory, factory.ForResource(gvr).Informer()
}

func typedNode(obj any) ([]string, error) { return []string{obj.(*corev1.Pod).Spec.NodeName}, nil }

func dynamicNode(obj any) ([]string, error) { return []string{nested(obj, "spec", "nodeName")}, nil }

func nothing(any) bool { return true }

func typedFields(obj any) bool {
	pod := obj.(*corev1.Pod)
	return pod.Status.Phase != "" && pod.Spec.NodeName != ""
}

func dynamicFields(obj any) bool {
	return nested(obj, "status", "phase") != "" && nested(obj, "spec", "nodeName") != ""
}

func nested(obj any, fields ...string) string {
	value, _, _ := unstructured.NestedString(obj.(*unstructured.Unstructured).Object, fields...)
	return value
}

// byApp is the further index of --indexes; it works for all kinds of objects.
func byApp(obj any) ([]string, error) {
	object, err := meta.Accessor(obj)
	return []string{object.GetLabels()["app"]}, err
}

// counter is the handler that is waited for.
type counter struct {
	read          func(obj any) bool
	adds, updates *progress
}

func (c counter) OnAdd(obj any, _ bool) { c.adds.count(c.read(obj)) }
func (c counter) OnUpdate(_, obj any)   { c.updates.count(c.read(obj)) }
func (c counter) OnDelete(any)          { panic("nothing is deleted") }

// progress tells when so many objects were seen. Only the handler counts, so it needs no lock.
type progress struct {
	seen    int
	reached map[int]chan struct{}
}

func newProgress(marks ...int) *progress {
	p := &progress{reached: map[int]chan struct{}{}}
	for _, mark := range marks {
		p.reached[mark] = make(chan struct{})
	}
	return p
}

func (p *progress) count(complete bool) {
	if !complete {
		panic("a field is missing")
	}
	p.seen++
	if mark, ok := p.reached[p.seen]; ok {
		close(mark)
	}
}

type report struct {
	Version      string   `json:"version"`
	EmptyRSS     int      `json:"empty_rss"`
	SyncSeconds  float64  `json:"sync_seconds"`
	SyncCPU      float64  `json:"sync_cpu"`
	RSS          int      `json:"rss"`
	RSSCollected int      `json:"rss_collected"`
	PeakRSS      int      `json:"peak_rss"`
	EventSeconds float64  `json:"event_seconds"`
	EventCPU     float64  `json:"event_cpu"`
	TrickleCPU   *float64 `json:"trickle_cpu,omitempty"`
}

// informer measures one variant against the replay server and prints a report.
func informer(arguments []string) error {
	flags := flag.NewFlagSet("informer", flag.ExitOnError)
	url := flags.String("url", "", "the replay server")
	name := flags.String("variant", "typed-protobuf", "the kind of informer")
	objects := flags.Int("objects", 10_000, "how many Pods it lists")
	events := flags.Int("events", 20_000, "how many updates the flood has")
	trickle := flags.Int("trickle", 0, "how many updates come one by one afterwards, 100 a second")
	handlers := flags.Int("handlers", 1, "how many handlers there are; all but one do nothing")
	authority := flags.String("ca", "", "the certificate that the replay server's TLS is trusted by")
	indexes := flags.Int("indexes", 0, "how many indexes there are besides those by namespace and node")
	flags.Parse(arguments)
	chosen, ok := variants[*name]
	if !ok {
		return fmt.Errorf("there is no variant %q", *name)
	}
	exitAfter(limit)

	factory, pods := chosen.pods(&rest.Config{Host: *url, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAFile: *authority}})
	ask, err := asker(*authority)
	if err != nil {
		return err
	}
	seen := counter{read: chosen.read, adds: newProgress(*objects), updates: newProgress(*events, *events+*trickle)}
	registration, err := prepare(pods, seen, chosen.index, *handlers, *indexes)
	if err != nil {
		return err
	}

	found := report{Version: clientGo()}
	collect()
	found.EmptyRSS = resident()
	began := begin()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	factory.Start(ctx.Done())
	<-registration.HasSyncedChecker().Done() // its first objects have been handled
	<-seen.adds.reached[*objects]
	found.SyncSeconds, found.SyncCPU = began.cost()
	if found.PeakRSS, err = peak(); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	found.RSS = resident()
	collect()
	found.RSSCollected = resident()

	began = begin()
	if err := ask(*url + "/flood"); err != nil {
		return err
	}
	<-seen.updates.reached[*events]
	found.EventSeconds, found.EventCPU = began.cost()

	if *trickle > 0 {
		began = begin()
		if err := ask(fmt.Sprintf("%s/trickle?rate=100&count=%d", *url, *trickle)); err != nil {
			return err
		}
		<-seen.updates.reached[*events+*trickle]
		_, used := began.cost()
		found.TrickleCPU = &used
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// prepare adds the indexes and the handlers; the one that is waited for is the last.
func prepare(
	pods cache.SharedIndexInformer, seen counter, node cache.IndexFunc, handlers, indexes int,
) (cache.ResourceEventHandlerRegistration, error) {
	indexers := cache.Indexers{}
	if _, ok := pods.GetIndexer().GetIndexers()[cache.NamespaceIndex]; !ok {
		indexers[cache.NamespaceIndex] = cache.MetaNamespaceIndexFunc
	}
	if node != nil {
		indexers["node"] = node
	}
	for i := range indexes {
		indexers["app-"+strconv.Itoa(i)] = byApp
	}
	if err := pods.AddIndexers(indexers); err != nil {
		return nil, err
	}
	for range handlers - 1 {
		if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(_, _ any) {}}); err != nil {
			return nil, err
		}
	}
	return pods.AddEventHandler(seen)
}

// moment is when a part of a run began.
type moment struct {
	wall time.Time
	cpu  time.Duration
}

func begin() moment { return moment{time.Now(), cpu()} }

// cost returns the seconds that have passed and those that were computed.
func (m moment) cost() (wall, used float64) {
	used = (cpu() - m.cpu).Seconds()
	return time.Since(m.wall).Seconds(), used
}

// peak returns the most memory that this process has held, in bytes.
func peak() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	kib, err := strconv.Atoi(string(regexp.MustCompile(`VmHWM:\s+(\d+)`).FindSubmatch(status)[1]))
	return kib << 10, err
}

// asker returns what makes the replay server send updates.
func asker(authority string) (func(url string) error, error) {
	client, err := rest.HTTPClientFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAFile: authority}})
	if err != nil {
		return nil, err
	}
	return func(url string) error {
		answer, err := client.Get(url)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}, nil
}
