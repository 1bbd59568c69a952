// What was set because some workload is faster or smaller with it. The README has the figures.

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

func tuneRuntime(o options) {
	debug.SetGCPercent(400)
	switch o.workload {
	case "latency", "connect", "http", "idle":
		if o.concurrency == 1 {
			// One thing happens after another: a second processor would only have to be woken each time.
			runtime.GOMAXPROCS(1)
		}
	}
}

func tune(s *stack.Stack, o options) error {
	const least, initial = tcp.MinBufferSize, 4 << 20
	most := 8 << 20
	if o.rtt > 0 && most < 128<<20/o.flows {
		most = 128 << 20 / o.flows
	}
	sack := tcpip.TCPSACKEnabled(true)
	congestionControl := tcpip.CongestionControlOption("reno")
	moderateReceiveBuffer := tcpip.TCPModerateReceiveBufferOption(true)
	timeWait := tcpip.TCPTimeWaitTimeoutOption(0)
	for _, option := range []tcpip.SettableTransportProtocolOption{
		&sack, &congestionControl, &moderateReceiveBuffer, &timeWait,
		&tcpip.TCPSendBufferSizeRangeOption{Min: least, Default: initial, Max: most},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: least, Default: initial, Max: most},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("%T: %s", option, err)
		}
	}
	for _, option := range []any{
		// UDP's.
		tcpip.SendBufferSizeOption{Min: least, Default: 4 << 20, Max: 4 << 20},
		tcpip.ReceiveBufferSizeOption{Min: least, Default: 16 << 20, Max: 16 << 20},
	} {
		if err := s.SetOption(option); err != nil {
			return fmt.Errorf("%T: %s", option, err)
		}
	}
	// The default has fewer than 50,000 ports.
	return asError(s.SetPortRange(firstPort, lastPort))
}
