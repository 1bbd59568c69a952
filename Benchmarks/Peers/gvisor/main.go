// Command gvisor-peer runs one workload of the benchmark over gVisor's network stack and prints what it measured.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"time"
)

type options struct {
	subject, workload, direction, server        string
	mtu, flows, concurrency, connections, bytes int
	rtt, measured                               time.Duration
}

func (o options) warmUp() time.Duration { return o.measured / 4 }

// A subject is a way to set gVisor up.
type subject struct {
	tuned, checksums, tunnel bool
}

var subjects = map[string]subject{
	"gvisor":             {tuned: true},
	"gvisor-checksums":   {tuned: true, checksums: true},
	"gvisor-as-it-comes": {checksums: true},
	"gvisor-tunnel":      {tuned: true, tunnel: true},
}

type metrics map[string]float64

var workloads = map[string]func(*network, options) (metrics, error){
	"bulk":    bulk,
	"latency": latency,
	"connect": connect,
	"dials":   dials,
	"http":    httpRequests,
	"idle":    idle,
	"udp":     datagrams,
}

// unsupported says why a workload can't be run.
type unsupported string

func (u unsupported) Error() string { return string(u) }

func parse() options {
	var o options
	var rtt, seconds float64
	flag.StringVar(&o.subject, "subject", "gvisor", "gvisor, gvisor-checksums, gvisor-as-it-comes, gvisor-tunnel")
	flag.StringVar(&o.workload, "workload", "bulk", "bulk, latency, connect, dials, http, idle, udp")
	flag.StringVar(&o.direction, "direction", "down", "bulk: up, down")
	flag.StringVar(&o.server, "server", "", "gvisor-tunnel: host:port of the kernel's server")
	flag.IntVar(&o.mtu, "mtu", 1500, "bytes a packet may have")
	flag.IntVar(&o.flows, "flows", 1, "bulk: simultaneous flows")
	flag.IntVar(&o.concurrency, "concurrency", 1, "connect, http: clients at once")
	flag.IntVar(&o.connections, "connections", 1000, "dials, idle: connections")
	flag.IntVar(&o.bytes, "size", 1400, "udp: bytes of payload")
	flag.Float64Var(&rtt, "rtt-ms", 0, "round trip of the link")
	flag.Float64Var(&seconds, "seconds", 1, "time measured")
	flag.Parse()
	o.rtt = time.Duration(rtt * float64(time.Millisecond))
	o.measured = time.Duration(seconds * float64(time.Second))
	return o
}

func run(o options) (metrics, error) {
	subject, known := subjects[o.subject]
	if !known {
		return nil, unsupported("no such subject")
	}
	workload, known := workloads[o.workload]
	if !known {
		return nil, unsupported("no such workload")
	}
	if o.mtu < 576 || o.mtu > 65535 {
		return nil, unsupported("an MTU has 576 to 65535 bytes")
	}
	if o.measured <= 0 || o.rtt < 0 || o.flows < 1 || o.concurrency < 1 || o.connections < 1 || o.bytes < 1 {
		return nil, errors.New("a number is out of range")
	}
	n, err := newNetwork(subject, o)
	if err != nil {
		return nil, err
	}
	return workload(n, o)
}

func main() {
	log.SetFlags(0)
	o := parse()
	time.AfterFunc(2*time.Minute+2*o.measured, func() { log.Fatal("the workload has not ended") })
	measured, err := run(o)

	outcome := map[string]any{"subject": o.subject, "workload": o.workload}
	var reason unsupported
	switch {
	case errors.As(err, &reason):
		outcome["unsupported"] = string(reason)
	case err != nil:
		log.Fatal(err)
	default:
		outcome["metrics"] = measured
	}
	line, err := json.Marshal(outcome)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(os.Stdout, string(line))
}
