// Latency: one byte there and one back, one at a time, on one connection.

package main

import (
	"errors"
	"io"
	"sort"
	"time"
)

func latency(n *network, o options) (metrics, error) {
	connection, err := n.dial()
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if _, err := connection.Write([]byte{'E'}); err != nil {
		return nil, err
	}
	var taken durations
	measure := time.Now().Add(o.warmUp())
	end := measure.Add(o.measured)
	for start := time.Now(); start.Before(end); {
		if err := exchange(connection, make([]byte, 1)); err != nil {
			return nil, err
		}
		now := time.Now()
		if start.After(measure) {
			taken = append(taken, now.Sub(start))
		}
		start = now
	}
	if len(taken) == 0 {
		return nil, errors.New("no answer came in time")
	}
	taken.sort()
	return metrics{"p50_us": taken.percentile(0.5), "p99_us": taken.percentile(0.99), "p999_us": taken.percentile(0.999)}, nil
}

// exchange sends bytes and waits until as many have come back.
func exchange(connection *stream, bytes []byte) error {
	if _, err := connection.Write(bytes); err != nil {
		return err
	}
	_, err := io.ReadFull(connection, bytes)
	return err
}

type durations []time.Duration

func (d durations) sort() { sort.Slice(d, func(i, j int) bool { return d[i] < d[j] }) }

// percentile is in microseconds, of sorted durations.
func (d durations) percentile(p float64) float64 {
	return float64(d[int(p*float64(len(d)-1))]) / float64(time.Microsecond)
}
