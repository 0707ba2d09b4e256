package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

type answers struct {
	Count     int     `json:"count"`
	Failed    int     `json:"failed"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Longest   float64 `json:"max_ms"`
}

// load asks a service until its own input ends, then prints how long answers took. With a rate, requests begin when
// they are due, whatever became of those before, and the time of each counts from then; without one, each connection
// asks again once it has its answer.
func load(arguments []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	list := flags.String("urls", "", "the file with what is asked for in turns, a URL a line")
	connections := flags.Int("connections", 8, "how many requests there are at a time; with a rate, at most 64 times that")
	rate := flags.Float64("rate", 0, "requests per second; as many as there can be by default")
	flags.Parse(arguments)

	lines, err := os.ReadFile(*list)
	if err != nil {
		return err
	}
	urls := strings.Fields(string(lines))
	workers := *connections
	if *rate > 0 {
		workers *= 64
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}, Timeout: limit}
	due, over := make(chan time.Time), make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	begun := time.Now()
	go func() {
		defer close(due)
		for number := 1; ; number++ {
			at := time.Now()
			if *rate > 0 {
				at = begun.Add(time.Duration(float64(number) / *rate * float64(time.Second)))
				time.Sleep(time.Until(at))
			}
			select {
			case due <- at:
			case <-over:
				return
			}
		}
	}()

	var lock sync.Mutex
	var took []time.Duration
	found, number := answers{}, 0
	var done sync.WaitGroup
	for range workers {
		done.Add(1)
		go func() {
			defer done.Done()
			for at := range due {
				if *rate == 0 {
					at = time.Now()
				}
				lock.Lock()
				target := urls[number%len(urls)]
				number++
				lock.Unlock()
				err := get(client, target)
				passed := time.Since(at)
				lock.Lock()
				if err != nil {
					found.Failed++
				} else {
					took = append(took, passed)
				}
				lock.Unlock()
			}
		}()
	}
	done.Wait()
	found.Count, found.Seconds = len(took), time.Since(begun).Seconds()
	if len(took) > 0 {
		slices.Sort(took)
		at := func(part float64) float64 {
			return float64(took[int(part*float64(len(took)-1))].Microseconds()) / 1000
		}
		found.P50, found.P99, found.Longest = at(0.5), at(0.99), at(1)
		found.PerSecond = float64(len(took)) / found.Seconds
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func get(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", answer.Status)
	}
	return nil
}
