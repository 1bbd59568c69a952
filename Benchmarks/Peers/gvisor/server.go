// The server on the far stack. It does what the kernel's server does: the first byte of a connection says what.

package main

import (
	"encoding/binary"
	"io"
	"log"
	"net/http"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	greeting = "hello, world\n"
	backlog  = 1 << 16
)

func serve(s *stack.Stack, uploads *tally) error {
	echo := newEcho()
	if err := listen(s, func(connection *stream) { answer(connection, echo, uploads) }); err != nil {
		return err
	}
	web, err := gonet.ListenTCP(s, tcpip.FullAddress{Port: httpPort}, ipv4.ProtocolNumber)
	if err != nil {
		return err
	}
	greet := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, greeting) }
	go func() { log.Fatal(http.Serve(web, http.HandlerFunc(greet))) }()

	socket, err := gonet.DialUDP(s, &tcpip.FullAddress{Port: serverPort}, nil, ipv4.ProtocolNumber)
	if err != nil {
		return err
	}
	go count(socket)
	return nil
}

// listen calls the handler for each connection, in a goroutine of its own.
func listen(s *stack.Stack, handle func(*stream)) error {
	var queue waiter.Queue
	listener, err := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return asError(err)
	}
	entry, arrival := waiter.NewChannelEntry(readable)
	queue.EventRegister(&entry)
	if err := listener.Bind(tcpip.FullAddress{Port: serverPort}); err != nil {
		return asError(err)
	}
	if err := listener.Listen(backlog); err != nil {
		return asError(err)
	}
	go func() {
		for {
			endpoint, queue, err := listener.Accept(nil)
			if _, none := err.(*tcpip.ErrWouldBlock); none {
				<-arrival
			} else if err != nil {
				log.Fatal("accept: ", err)
			} else {
				go handle(&stream{endpoint, queue})
			}
		}
	}()
	return nil
}

// answer leaves it to the client to report a connection that breaks.
func answer(connection *stream, echo echo, uploads *tally) {
	request := make([]byte, 1)
	if _, err := connection.Read(request); err != nil {
		connection.Close()
		return
	}
	switch request[0] {
	case 'D':
		send(connection)
		connection.Close()
	case 'U':
		connection.drain(uploads.add())
		connection.Close()
	case 'E':
		echo.add(connection)
	default:
		connection.Close()
	}
}

// send writes until the connection breaks.
func send(w io.Writer) error {
	bytes := make([]byte, 256<<10)
	for {
		if _, err := w.Write(bytes); err != nil {
			return err
		}
	}
}

// count counts datagrams, and tells those who ask how many there were.
func count(socket *gonet.UDPConn) {
	bytes := make([]byte, 65535)
	var datagrams uint64
	for {
		_, from, err := socket.ReadFrom(bytes)
		if err != nil {
			log.Fatal("datagrams: ", err)
		}
		if bytes[0] != '?' {
			datagrams++
			continue
		}
		socket.WriteTo(binary.BigEndian.AppendUint64(nil, datagrams), from)
		datagrams = 0
	}
}
