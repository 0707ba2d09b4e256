package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// linked says which version of a module is linked, and on which runtime.
func linked(path string) string {
	name, found := path[strings.LastIndex(path, "/")+1:], "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == path {
				found = module.Version
			}
		}
	}
	return fmt.Sprintf("%s %s, %s", name, found, runtime.Version())
}

func clientGo() string { return linked("k8s.io/client-go") }

// cpu returns the CPU time that this process has used, user and system.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// resident returns the memory that this process holds, in bytes.
func resident() int {
	var size, pages int
	statm, err := os.Open("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	defer statm.Close()
	if _, err := fmt.Fscan(statm, &size, &pages); err != nil {
		panic(err)
	}
	return pages * os.Getpagesize()
}

// collect gives back what is not in use.
func collect() {
	runtime.GC()
	debug.FreeOSMemory()
}

// exitAfter ends this process as a failure once so much time has passed.
func exitAfter(limit time.Duration) {
	time.AfterFunc(limit, func() {
		fmt.Fprintf(os.Stderr, "not done after %v\n", limit)
		os.Exit(1)
	})
}
