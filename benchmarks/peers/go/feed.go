package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
)

// batch is how many Pods a core converts at a time.
const batch = 256

// feed writes each Pod of its input as protobuf, preceded by its length in four bytes, big-endian. Batches are
// converted on all cores; each has a channel for its result, and the results are written in the order of the batches.
func feed([]string) error {
	results := make(chan chan result, runtime.NumCPU())
	go convert(os.Stdin, results)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for pending := range results {
		done := <-pending
		if done.err != nil {
			return done.err
		}
		if _, err := out.Write(done.encoded); err != nil {
			return err
		}
	}
	return out.Flush()
}

type result struct {
	encoded []byte
	err     error
}

func convert(in io.Reader, results chan<- chan result) {
	defer close(results)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<24)
	start := func(pods [][]byte) {
		pending := make(chan result, 1)
		results <- pending // waits while all cores are busy
		go func() { pending <- encode(pods) }()
	}
	var pods [][]byte
	for lines.Scan() {
		if pods = append(pods, []byte(lines.Text())); len(pods) == batch {
			start(pods)
			pods = nil
		}
	}
	start(pods)
	if err := lines.Err(); err != nil {
		failed := make(chan result, 1)
		failed <- result{err: err}
		results <- failed
	}
}

func encode(pods [][]byte) (done result) {
	for _, line := range pods {
		var pod corev1.Pod
		// Strict: a field that Pods do not have would be missing from the protobuf, which would make it too cheap.
		if unknown, err := json.UnmarshalStrict(line, &pod); err != nil || len(unknown) > 0 {
			return result{err: fmt.Errorf("not a Pod: %v %v", err, unknown)}
		}
		message, err := pod.Marshal()
		if err != nil {
			return result{err: err}
		}
		done.encoded = binary.BigEndian.AppendUint32(done.encoded, uint32(len(message)))
		done.encoded = append(done.encoded, message...)
	}
	return done
}
