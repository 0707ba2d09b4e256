// Writes what apimachinery's own code says about hashes of fields and selectors of shards, for tests to compare with:
//
//	cd tests/data/sharding && go run -mod=readonly . > vectors.json
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/sharding"
	"k8s.io/apimachinery/pkg/types"
)

const module = "k8s.io/apimachinery"

var counts = []uint64{1, 2, 3, 7, 8, 16, 100}

type shard struct {
	Of       uint64 `json:"of"`
	By       string `json:"by"`
	Index    uint64 `json:"index"`
	Selector string `json:"selector"`
	// Matches are the texts of `hashes` that are uids or namespaces of the shard; of some numbers of shards only.
	Matches []string `json:"matches,omitempty"`
}

type vectors struct {
	Module string            `json:"module"`
	Hashes map[string]string `json:"hashes"`
	Shards []shard           `json:"shards"`
}

func texts() []string {
	found := []string{
		"", "a", "b", "ab", "abc", "foobar", "test", "test-uid-12345", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
		"default", "kube-system", "kube-public", "kube-node-lease", "0", " ", "\n", "\x00", "\x00\x00", "\"quoted\"", "A", "DEFAULT",
		"é", "e\u0301", "ß", "Ω", "名前空間", "Пространство", "😀", "👩‍🚀", "\u200b", "\ufeff", "\uffff", "\U0010ffff",
		strings.Repeat("a", 63), strings.Repeat("a", 253), strings.Repeat("é", 100), strings.Repeat("x", 4096),
	}
	for letter := 'a'; letter <= 'z'; letter++ {
		found = append(found, fmt.Sprintf("team-%c", letter))
	}
	for number := 0; number < 40; number++ {
		found = append(found, fmt.Sprintf("ns-%d", number), fmt.Sprintf("tenant-%03d", number+1))
	}
	// Version 4 as servers make them, but the same in every run.
	state := uint64(1)
	next := func() uint64 { // splitmix64
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	for range 150 {
		high, low := next()&^0xf000|0x4000, next()&^(3<<62)|2<<62
		found = append(found, fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", high>>32, high>>16&0xffff, high&0xffff, low>>48, low&0xffffffffffff))
	}
	return found
}

// bound is 2^64 * index / of, in the digits that selectors are written in.
func bound(index, of uint64) string {
	if index == of {
		return "0x10000000000000000"
	}
	// 2^64 = of*quotient + rest
	quotient, rest := ^uint64(0)/of, ^uint64(0)%of+1
	if rest == of {
		quotient, rest = quotient+1, 0
	}
	if of == 1 { // index is 0
		return "0x0000000000000000"
	}
	return fmt.Sprintf("0x%016x", index*quotient+index*rest/of)
}

func shardOf(found []string, by string, index, of uint64) shard {
	requirement := sharding.ShardRangeRequirement{
		Key: "object.metadata." + by, Start: bound(index, of), End: bound(index+1, of),
	}
	selector := sharding.NewSelector(requirement)
	matches := []string{}
	for _, text := range found {
		object := &metav1.PartialObjectMetadata{}
		if by == "uid" {
			object.UID = types.UID(text)
		} else {
			object.Namespace = text
		}
		matched, err := selector.Matches(object)
		if err != nil {
			log.Fatal(err)
		}
		if matched {
			matches = append(matches, text)
		}
	}
	return shard{Of: of, By: by, Index: index, Selector: selector.String(), Matches: matches}
}

func main() {
	written := vectors{Hashes: map[string]string{}}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				written.Module = module + " " + dependency.Version
			}
		}
	}
	found := texts()
	for _, text := range found {
		written.Hashes[text] = sharding.HashField(text)
	}
	// Long texts and odd ones are in the hashes alone: the shards stay readable.
	short := found[len(found)-40:]
	for _, text := range found {
		if len(text) < 36 && strings.IndexFunc(text, func(letter rune) bool { return letter < ' ' || letter > '~' }) < 0 {
			short = append(short, text)
		}
	}
	for _, of := range counts {
		for index := range of {
			if of == 100 && index%33 != 0 {
				continue
			}
			for _, by := range []string{"uid", "namespace"} {
				if of == 3 || of == 8 {
					written.Shards = append(written.Shards, shardOf(short, by, index, of))
				} else if by == "uid" {
					written.Shards = append(written.Shards, shardOf(nil, by, index, of))
				}
			}
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(written); err != nil {
		log.Fatal(err)
	}
}
