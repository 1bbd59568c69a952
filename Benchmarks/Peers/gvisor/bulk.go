// Bulk: bytes one way, as fast as they go.

package main

import (
	"errors"
	"fmt"
	"log"
	"math"
	"sync/atomic"
	"time"
)

func bulk(n *network, o options) (metrics, error) {
	flows := make([]*stream, o.flows)
	for i := range flows {
		var err error
		if flows[i], err = n.dial(); err != nil {
			return nil, err
		}
	}
	var transfer func(*stream) error
	arrived := &n.uploads
	switch o.direction {
	case "up":
		transfer = upload
	case "down":
		var downloads tally
		arrived = &downloads
		transfer = func(flow *stream) error { return download(flow, downloads.add()) }
	default:
		return nil, unsupported("a direction is up or down")
	}
	for _, flow := range flows {
		go func(flow *stream) { log.Fatal("a flow has ended: ", transfer(flow)) }(flow)
	}

	time.Sleep(o.warmUp())
	before, start, processor := arrived.read(), time.Now(), processorTime()
	time.Sleep(o.measured)
	after, elapsed := arrived.read(), time.Since(start)
	processor = processorTime() - processor

	if len(before) != o.flows {
		return nil, fmt.Errorf("%d of %d flows had begun after the warm-up", len(before), o.flows)
	}
	var total, least int64 = 0, math.MaxInt64
	for i := range before {
		bytes := after[i] - before[i]
		total += bytes
		if bytes < least {
			least = bytes
		}
	}
	if total == 0 {
		return nil, errors.New("no bytes arrived")
	}
	return metrics{
		"gbps":         float64(total) * 8 / 1e9 / elapsed.Seconds(),
		"cpu_s_per_gb": processor.Seconds() / (float64(total) / 1e9),
		"min_share":    float64(least) * float64(o.flows) / float64(total),
		"peak_rss_mb":  peakResident() / 1e6,
	}, nil
}

func download(flow *stream, count *atomic.Int64) error {
	if _, err := flow.Write([]byte{'D'}); err != nil {
		return err
	}
	return flow.drain(count)
}

func upload(flow *stream) error {
	if _, err := flow.Write([]byte{'U'}); err != nil {
		return err
	}
	return send(flow)
}
