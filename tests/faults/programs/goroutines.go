// Goroutines whose stacks grow and move, panics that are recovered, and the garbage collector at work.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

//go:noinline
func dive(depth int) int {
	var room [128]byte
	room[depth%128] = byte(depth)
	if depth == 0 {
		return int(room[0])
	}
	return dive(depth-1) + int(room[depth%128]) - byteOf(depth) + 1
}

//go:noinline
func byteOf(n int) int { return int(byte(n)) }

//go:noinline
func fails(n int) (recovered int) {
	defer func() {
		if recover() != nil {
			recovered = n
		}
	}()
	var none []int
	return none[n]
}

func main() {
	var group sync.WaitGroup
	results := make([]int, 23)
	for i := range results {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			results[i] = dive(100+i) + fails(i)
			runtime.GC()
		}(i)
	}
	group.Wait()
	fmt.Println(results)
	os.Exit(12)
}
