package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// clientGo says which version is linked, and on which runtime.
func clientGo() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "k8s.io/client-go" {
				return fmt.Sprintf("client-go %s, %s", module.Version, runtime.Version())
			}
		}
	}
	return "client-go (unknown), " + runtime.Version()
}

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
