// A TCP connection of a gVisor stack. Other than gonet's, it gives access to received bytes where the stack holds them.

package main

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	readable = waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr
	writable = waiter.WritableEvents | waiter.EventHUp | waiter.EventErr
)

var errWouldBlock = errors.New("nothing to read yet")

type stream struct {
	endpoint tcpip.Endpoint
	queue    *waiter.Queue
}

// dial lets the stack choose a local port of 0.
func dial(s *stack.Stack, local, remote tcpip.FullAddress) (*stream, error) {
	queue := new(waiter.Queue)
	endpoint, err := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, queue)
	if err != nil {
		return nil, asError(err)
	}
	entry, connected := waiter.NewChannelEntry(writable)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	if local.Port != 0 {
		err = endpoint.Bind(local)
	}
	if err == nil {
		err = endpoint.Connect(remote)
	}
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		<-connected
		err = endpoint.LastError()
	}
	if err != nil {
		endpoint.Close()
		return nil, asError(err)
	}
	return &stream{endpoint: endpoint, queue: queue}, nil
}

// takeInto hands over what has arrived, without a copy. It doesn't wait for more.
func (s *stream) takeInto(w io.Writer) (int, error) {
	result, err := s.endpoint.Read(w, tcpip.ReadOptions{})
	switch err.(type) {
	case nil:
		s.endpoint.ModerateRecvBuf(result.Count)
		return result.Count, nil
	case *tcpip.ErrWouldBlock:
		return 0, errWouldBlock
	case *tcpip.ErrClosedForReceive:
		return 0, io.EOF
	default:
		return 0, asError(err)
	}
}

// readInto is takeInto, once something has arrived.
func (s *stream) readInto(w io.Writer) (int, error) {
	for {
		n, err := s.takeInto(w)
		if err != errWouldBlock {
			return n, err
		}
		s.await(readable)
	}
}

func (s *stream) Read(b []byte) (int, error) {
	w := tcpip.SliceWriter(b)
	return s.readInto(&w)
}

// drain discards bytes until the end, and counts them.
func (s *stream) drain(count *atomic.Int64) error {
	for {
		n, err := s.readInto(io.Discard)
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		count.Add(int64(n))
	}
}

func (s *stream) Write(b []byte) (int, error) {
	var source bytes.Reader
	for written := 0; ; {
		source.Reset(b[written:])
		n, err := s.endpoint.Write(&source, tcpip.WriteOptions{})
		written += int(n)
		if _, full := err.(*tcpip.ErrWouldBlock); full {
			s.await(writable)
		} else if err != nil || written == len(b) {
			return written, asError(err)
		}
	}
}

func (s *stream) await(events waiter.EventMask) {
	entry, happened := waiter.NewChannelEntry(events)
	s.queue.EventRegister(&entry)
	defer s.queue.EventUnregister(&entry)
	if s.endpoint.Readiness(events) == 0 {
		<-happened
	}
}

func (s *stream) CloseWrite() { s.endpoint.Shutdown(tcpip.ShutdownWrite) }

func (s *stream) Close() { s.endpoint.Close() }

func asError(err tcpip.Error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.String())
}
