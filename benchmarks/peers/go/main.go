// The programs on client-go that aioinformers is measured beside, as subcommands:
//
//	feed      JSON Pods, one a line, to protobuf
//	informer  an informer against the replay server: CPU and memory per object and per event
//	latency   an informer against a real API server: the time from a write to the handler
//	reads     an informer against the replay server: reads of its cache per second
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func(arguments []string) error{
		"feed": feed, "informer": informer, "latency": latency, "reads": reads,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: peer feed|informer|latency|reads [flags]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
