// UDP: datagrams one way, as fast as the sender goes.

package main

import (
	"encoding/binary"
	"errors"
	"runtime"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

func datagrams(n *network, o options) (metrics, error) {
	if o.bytes > o.mtu-28 {
		return nil, unsupported("a datagram does not fit the MTU")
	}
	socket, err := n.dialUDP()
	if err != nil {
		return nil, err
	}
	blast(socket, o.bytes, o.warmUp())
	if _, err := arrived(socket, o); err != nil {
		return nil, err
	}
	sent, elapsed := blast(socket, o.bytes, o.measured)
	count, err := arrived(socket, o)
	if err != nil {
		return nil, err
	}
	if sent == 0 {
		return nil, errors.New("no datagram was sent")
	}
	return metrics{
		"packets_per_second": float64(count) / elapsed.Seconds(),
		"loss":               1 - float64(count)/float64(sent),
	}, nil
}

// blast sends datagrams for some time, and counts those that the stack took.
func blast(socket *gonet.UDPConn, size int, duration time.Duration) (sent int, elapsed time.Duration) {
	datagram := make([]byte, size)
	datagram[0] = 'U'
	start := time.Now()
	for elapsed < duration {
		for i := 0; i < 64; i++ {
			if _, err := socket.Write(datagram); err != nil {
				// The link is full.
				runtime.Gosched()
				continue
			}
			sent++
		}
		elapsed = time.Since(start)
	}
	return sent, elapsed
}

// arrived asks the server how many datagrams came since the last time. Those on their way are given time to arrive.
func arrived(socket *gonet.UDPConn, o options) (uint64, error) {
	const attempts = 10
	time.Sleep(100*time.Millisecond + o.rtt)
	answer := make([]byte, 8)
	for i := 0; i < attempts; i++ {
		if _, err := socket.Write([]byte{'?'}); err != nil {
			return 0, err
		}
		socket.SetReadDeadline(time.Now().Add(200*time.Millisecond + 2*o.rtt))
		if n, err := socket.Read(answer); err == nil && n == len(answer) {
			return binary.BigEndian.Uint64(answer), nil
		}
	}
	return 0, errors.New("the server does not say how many datagrams came")
}
