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
)

const greeting = "hello, world\n"

func serve(s *stack.Stack, uploads *tally) error {
	listener, err := listen(s, serverPort)
	if err != nil {
		return err
	}
	web, err := gonet.ListenTCP(s, tcpip.FullAddress{Port: httpPort}, ipv4.ProtocolNumber)
	if err != nil {
		return err
	}
	socket, err := gonet.DialUDP(s, &tcpip.FullAddress{Port: serverPort}, nil, ipv4.ProtocolNumber)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.accept()
			if err != nil {
				log.Fatal("accept: ", err)
			}
			go answer(connection, uploads)
		}
	}()
	go func() {
		greet := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, greeting) }
		log.Fatal(http.Serve(web, http.HandlerFunc(greet)))
	}()
	go count(socket)
	return nil
}

// answer serves one connection. A connection that breaks is the client's to report.
func answer(connection *stream, uploads *tally) {
	defer connection.Close()
	bytes := make([]byte, 64)
	if _, err := connection.Read(bytes[:1]); err != nil {
		return
	}
	switch bytes[0] {
	case 'D':
		send(connection)
	case 'U':
		connection.drain(uploads.add())
	case 'E':
		for {
			n, err := connection.Read(bytes)
			if err != nil {
				return
			}
			if _, err := connection.Write(bytes[:n]); err != nil {
				return
			}
		}
	}
}

// send writes until the connection breaks.
func send(w io.Writer) error {
	bytes := make([]byte, 64<<10)
	for {
		if _, err := w.Write(bytes); err != nil {
			return err
		}
	}
}

// count counts datagrams, and tells how many there were to those who ask.
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
