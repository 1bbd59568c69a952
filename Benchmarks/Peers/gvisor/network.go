// The network of a workload: a client's stack, a link, and another stack behind which there is a server.

package main

import (
	"fmt"
	"net"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	nic           = 1
	clientAddress = tcpip.Address("\x0a\x00\x00\x01")
	serverAddress = tcpip.Address("\x0a\x00\x00\x02")
	// What the server does is said by the first byte a client sends, except that HTTP has a port of its own.
	serverPort = 7
	httpPort   = 80
	// The client's.
	firstPort = 1024
	lastPort  = 65535
)

type network struct {
	client *stack.Stack
	// The bytes of uploads are counted where they leave the far stack.
	uploads tally
	// Whether a connection needs a descriptor of the system.
	descriptors bool
}

func newNetwork(s subject, o options) (*network, error) {
	if s.tuned {
		tuneRuntime(o)
	}
	near, far := newLink(s, o)
	client, err := newStack(near, clientAddress, s, o)
	if err != nil {
		return nil, err
	}
	server, err := newStack(far, serverAddress, s, o)
	if err != nil {
		return nil, err
	}
	go near.deliver()
	go far.deliver()
	n := &network{client: client, descriptors: s.tunnel}
	if s.tunnel {
		return n, forward(server, o.server, &n.uploads)
	}
	return n, serve(server, &n.uploads)
}

func newStack(l *link, address tcpip.Address, subject subject, o options) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	if subject.tuned {
		if err := tune(s, o); err != nil {
			return nil, err
		}
	}
	if err := s.CreateNIC(nic, l); err != nil {
		return nil, fmt.Errorf("NIC: %s", err)
	}
	assigned := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address.WithPrefix()}
	if err := s.AddProtocolAddress(nic, assigned, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("address: %s", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return s, nil
}

func (n *network) dial() (*stream, error) { return n.dialFrom(0) }

// dialFrom saves the stack the search for a free port.
func (n *network) dialFrom(port uint16) (*stream, error) {
	local := tcpip.FullAddress{Addr: clientAddress, Port: port}
	return dial(n.client, local, tcpip.FullAddress{Addr: serverAddress, Port: serverPort})
}

func (n *network) dialHTTP() (net.Conn, error) {
	return gonet.DialTCP(n.client, tcpip.FullAddress{Addr: serverAddress, Port: httpPort}, ipv4.ProtocolNumber)
}

func (n *network) dialUDP() (*gonet.UDPConn, error) {
	remote := tcpip.FullAddress{Addr: serverAddress, Port: serverPort}
	return gonet.DialUDP(n.client, nil, &remote, ipv4.ProtocolNumber)
}

// admit says whether there can be as many connections at once.
func (n *network) admit(connections int) error {
	if connections > lastPort-firstPort+1 {
		return unsupported("there are 64,512 local ports")
	}
	if !n.descriptors {
		return nil
	}
	const others = 32
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(connections)+others > limit.Cur {
		return unsupported("the limit on descriptors is too low")
	}
	return nil
}
