package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lead is a candidate for a Lease, as client-go's documentation shows one, that is told what to do: it begins with each
// line "run" on standard input, and gives up with each line "release". It says "leads" and "ended".
func lead(arguments []string) error {
	flags := flag.NewFlagSet("lead", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	namespace := flags.String("namespace", "default", "where the Lease is")
	name := flags.String("name", "", "its name")
	identity := flags.String("identity", "", "who this candidate is")
	duration := flags.Duration("lease-duration", 15*time.Second, "how long others leave a Lease alone")
	deadline := flags.Duration("renew-deadline", 10*time.Second, "how long a leader acts upon its last renewal")
	period := flags.Duration("retry-period", 2*time.Second, "the time between two attempts")
	flags.Parse(arguments)
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = "application/json" // which the embedded server reads, too
	exitAfter(limit)

	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: *name, Namespace: *namespace},
		Client:     kubernetes.NewForConfigOrDie(config).CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: *identity},
	}
	candidate := leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   *duration,
		RenewDeadline:   *deadline,
		RetryPeriod:     *period,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { fmt.Println("leads") },
			OnStoppedLeading: func() { fmt.Println("ended") },
		},
	}
	stop := func() {}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "run":
			if stop, err = campaign(candidate); err != nil {
				return err
			}
		case "release":
			stop()
		default:
			return fmt.Errorf("lines are run and release, not %q", lines.Text())
		}
	}
	return lines.Err()
}

// campaign starts a candidature and returns what ends it.
func campaign(candidate leaderelection.LeaderElectionConfig) (context.CancelFunc, error) {
	elector, err := leaderelection.NewLeaderElector(candidate)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	go elector.Run(ctx)
	return stop, nil
}
