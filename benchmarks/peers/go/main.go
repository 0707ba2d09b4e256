// The programs in Go that aioinformers is measured beside, as subcommands:
//
//	feed      JSON Pods, one a line, to protobuf
//	informer  an informer against the replay server: CPU and memory per object and per event
//	latency   an informer against a real API server: the time from a write to the handler
//	lead      a candidate for a Lease, which begins and gives up as it is told
//	load      requests to a service, and how long its answers take
//	reconcile a controller of controller-runtime against the replay server: CPU per run
//	reads     an informer against the replay server: reads of its cache per second
//	tls       a proxy before the replay server that speaks TLS, HTTP/2 and HTTP/1.1
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func(arguments []string) error{
		"feed": feed, "informer": informer, "latency": latency, "lead": lead, "load": load,
		"reads": reads, "reconcile": reconcile, "tls": tlsProxy,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: peer feed|informer|latency|lead|load|reads|reconcile|tls [flags]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
