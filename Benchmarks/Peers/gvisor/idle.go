// Idle: what many open connections cost: memory, and the finding of one among them.

package main

import (
	"errors"
	"math/rand"
	"runtime/debug"
	"time"
)

func idle(n *network, o options) (metrics, error) {
	if err := n.admit(o.connections); err != nil {
		return nil, err
	}
	connections := make([]*stream, o.connections)
	debug.FreeOSMemory()
	memory := resident()
	var connecting time.Duration
	for i := range connections {
		start := time.Now()
		connection, err := n.dial()
		if err != nil {
			return nil, err
		}
		connecting += time.Since(start)
		if _, err := connection.Write([]byte{'E'}); err != nil {
			return nil, err
		}
		connections[i] = connection
	}
	time.Sleep(o.warmUp())
	debug.FreeOSMemory()
	memory = resident() - memory

	var taken durations
	message := make([]byte, 64)
	for end := time.Now().Add(o.measured); ; {
		start := time.Now()
		if start.After(end) {
			break
		}
		if err := exchange(connections[rand.Intn(len(connections))], message); err != nil {
			return nil, err
		}
		taken = append(taken, time.Since(start))
	}
	if len(taken) == 0 {
		return nil, errors.New("no answer came in time")
	}
	taken.sort()
	return metrics{
		"bytes_per_connection": memory / float64(o.connections),
		"message_us":           taken.percentile(0.5),
		"connect_us":           float64(connecting.Microseconds()) / float64(o.connections),
	}, nil
}
