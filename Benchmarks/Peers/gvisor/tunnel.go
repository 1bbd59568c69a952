// The exit of a tunnel: the far stack takes every connection, whatever its destination, dials the kernel's server, and
// carries bytes between the two.

package main

import (
	"errors"
	"log"
	"net"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

func forward(s *stack.Stack, server string, uploads *tally) error {
	const dialsAtOnce = 1 << 16
	if server == "" {
		return errors.New("a tunnel needs --server")
	}
	if err := s.SetPromiscuousMode(nic, true); err != nil {
		return asError(err)
	}
	if err := s.SetSpoofing(nic, true); err != nil {
		return asError(err)
	}
	connections := tcp.NewForwarder(s, 0, dialsAtOnce, func(request *tcp.ForwarderRequest) {
		forwardConnection(request, server, uploads)
	})
	sockets := udp.NewForwarder(s, func(request *udp.ForwarderRequest) { forwardSocket(s, request, server) })
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, connections.HandlePacket)
	s.SetTransportProtocolHandler(udp.ProtocolNumber, sockets.HandlePacket)
	return nil
}

// forwardConnection opens the client's connection once the server's is open.
func forwardConnection(request *tcp.ForwarderRequest, server string, uploads *tally) {
	outside, err := net.Dial("tcp", server)
	if err != nil {
		request.Complete(true)
		return
	}
	var queue waiter.Queue
	endpoint, failure := request.CreateEndpoint(&queue)
	request.Complete(failure != nil)
	if failure != nil {
		outside.Close()
		return
	}
	splice(&stream{endpoint, &queue}, outside.(*net.TCPConn), uploads.add())
}

func forwardSocket(s *stack.Stack, request *udp.ForwarderRequest, server string) {
	var queue waiter.Queue
	endpoint, failure := request.CreateEndpoint(&queue)
	if failure != nil {
		return
	}
	inside := gonet.NewUDPConn(s, &queue, endpoint)
	outside, err := net.Dial("udp", server)
	if err != nil {
		inside.Close()
		return
	}
	go relay(outside, inside)
	go relay(inside, outside)
}

func relay(from, to net.Conn) {
	bytes := make([]byte, 65535)
	for {
		n, err := from.Read(bytes)
		if err != nil {
			log.Fatal("datagrams: ", err)
		}
		// A datagram that can't be sent is a datagram lost.
		_, _ = to.Write(bytes[:n])
	}
}
