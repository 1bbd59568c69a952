// UDP: datagrams one way, as fast as the sender goes.

package main

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

func datagrams(n *network, o options) (metrics, error) {
	const headers = 28
	if o.bytes > o.mtu-headers {
		return nil, unsupported("a datagram longer than the MTU")
	}
	if _, _, _, err := blast(n, o, o.warmUp()); err != nil {
		return nil, err
	}
	sent, arrived, elapsed, err := blast(n, o, o.measured)
	if err != nil {
		return nil, err
	}
	if sent == 0 {
		return nil, errors.New("no datagram was sent")
	}
	return metrics{
		"packets_per_second": float64(arrived) / elapsed.Seconds(),
		"loss":               1 - float64(arrived)/float64(sent),
	}, nil
}

// blast sends datagrams for some time. What has elapsed in the end includes the arrival of the last.
func blast(n *network, o options, duration time.Duration) (sent int, arrived uint64, elapsed time.Duration, err error) {
	const burst = 64
	socket, err := n.dialUDP()
	if err != nil {
		return 0, 0, 0, err
	}
	defer socket.Close()
	datagram := make([]byte, o.bytes)
	datagram[0] = 'U'
	start := time.Now()
	for time.Since(start) < duration {
		for i := 0; i < burst; i++ {
			if _, err := socket.Write(datagram); err == nil {
				sent++
			} else {
				// The link is full.
				runtime.Gosched()
			}
		}
	}
	arrived, last, err := ask(socket, o)
	return sent, arrived, last.Sub(start), err
}

// ask asks the server how many datagrams have come, until it says that there are no more. The first answer comes when all
// before the question have been counted.
func ask(socket *gonet.UDPConn, o options) (count uint64, last time.Time, err error) {
	const attempts = 500
	answer := make([]byte, 8)
	for i := 0; i < attempts; i++ {
		socket.Write([]byte{'?'})
		socket.SetReadDeadline(time.Now().Add(10*time.Millisecond + o.rtt))
		if _, err := io.ReadFull(socket, answer); err != nil {
			continue
		}
		if last.IsZero() {
			last = time.Now()
		}
		more := binary.BigEndian.Uint64(answer)
		if more == 0 {
			return count, last, nil
		}
		count += more
	}
	return 0, last, errors.New("the server does not say how many datagrams have come")
}
