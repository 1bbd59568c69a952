// How many bytes each of some flows has brought.

package main

import (
	"sync"
	"sync/atomic"
)

type tally struct {
	mutex sync.Mutex
	flows []*atomic.Int64
}

func (t *tally) add() *atomic.Int64 {
	count := new(atomic.Int64)
	t.mutex.Lock()
	t.flows = append(t.flows, count)
	t.mutex.Unlock()
	return count
}

func (t *tally) read() []int64 {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	counts := make([]int64, len(t.flows))
	for i, flow := range t.flows {
		counts[i] = flow.Load()
	}
	return counts
}
