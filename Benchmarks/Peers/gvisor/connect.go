// Connect: whole short connections, over and over, by some clients at once. Dials: many opened at once.

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func connect(n *network, o options) (metrics, error) {
	return repeat(o, func() error {
		connection, err := n.dial()
		if err != nil {
			return err
		}
		defer connection.Close()
		if _, err := connection.Write([]byte("E.")); err != nil {
			return err
		}
		_, err = connection.Read(make([]byte, 1))
		return err
	}), nil
}

// repeat has clients do something until the time is over, and counts.
func repeat(o options, do func() error) metrics {
	var done, failed atomic.Int64
	var clients sync.WaitGroup
	start := time.Now().Add(o.warmUp())
	end := start.Add(o.measured)
	for i := 0; i < o.concurrency; i++ {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for time.Now().Before(end) {
				err := do()
				switch now := time.Now(); {
				case now.Before(start) || now.After(end):
				case err != nil:
					failed.Add(1)
				default:
					done.Add(1)
				}
			}
		}()
	}
	clients.Wait()
	return metrics{"per_second": float64(done.Load()) / o.measured.Seconds(), "failures": float64(failed.Load())}
}

func dials(n *network, o options) (metrics, error) {
	if err := n.admit(o.connections); err != nil {
		return nil, err
	}
	connections := make([]*stream, o.connections)
	var dialled sync.WaitGroup
	dialled.Add(len(connections))
	start := time.Now()
	for i := range connections {
		go func(i int) {
			defer dialled.Done()
			// All that search at once would meet at the same ports.
			connections[i], _ = n.dialFrom(uint16(firstPort + i))
		}(i)
	}
	dialled.Wait()
	seconds := time.Since(start).Seconds()
	failures := 0
	for _, connection := range connections {
		if connection == nil {
			failures++
			continue
		}
		connection.Close()
	}
	return metrics{"seconds": seconds, "failures": float64(failures)}, nil
}
