// A TCP connection of a gVisor stack. It adds to gonet's the reading of bytes where the stack holds them.

package main

import (
	"io"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

type stream struct {
	*gonet.TCPConn
	endpoint tcpip.Endpoint
	entry    waiter.Entry
	readable chan struct{}
}

func newStream(endpoint tcpip.Endpoint, queue *waiter.Queue) *stream {
	s := &stream{TCPConn: gonet.NewTCPConn(queue, endpoint), endpoint: endpoint}
	s.entry, s.readable = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	queue.EventRegister(&s.entry)
	return s
}

func dial(s *stack.Stack, remote tcpip.FullAddress) (*stream, error) {
	var queue waiter.Queue
	endpoint, err := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return nil, asError(err)
	}
	entry, connected := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	err = endpoint.Connect(remote)
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		<-connected
		err = endpoint.LastError()
	}
	if err != nil {
		endpoint.Close()
		return nil, asError(err)
	}
	return newStream(endpoint, &queue), nil
}

// readInto waits for bytes and hands over all there are, once, without a copy.
func (s *stream) readInto(w io.Writer) (int, error) {
	for {
		result, err := s.endpoint.Read(w, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
			s.endpoint.ModerateRecvBuf(result.Count)
			return result.Count, nil
		case *tcpip.ErrWouldBlock:
			<-s.readable
		case *tcpip.ErrClosedForReceive:
			return 0, io.EOF
		default:
			return 0, asError(err)
		}
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

// A listener accepts connections of a stack.
type listener struct {
	endpoint tcpip.Endpoint
	readable chan struct{}
}

func listen(s *stack.Stack, port uint16) (*listener, error) {
	const backlog = 1 << 16
	var queue waiter.Queue
	endpoint, err := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return nil, asError(err)
	}
	if err := endpoint.Bind(tcpip.FullAddress{Port: port}); err != nil {
		return nil, asError(err)
	}
	entry, readable := waiter.NewChannelEntry(waiter.ReadableEvents)
	queue.EventRegister(&entry)
	return &listener{endpoint, readable}, asError(endpoint.Listen(backlog))
}

func (l *listener) accept() (*stream, error) {
	for {
		endpoint, queue, err := l.endpoint.Accept(nil)
		if _, none := err.(*tcpip.ErrWouldBlock); none {
			<-l.readable
			continue
		} else if err != nil {
			return nil, asError(err)
		}
		return newStream(endpoint, queue), nil
	}
}

// A tally holds how many bytes each flow has brought.
type tally struct {
	mutex sync.Mutex
	flows []*atomic.Int64
}

func (t *tally) add() *atomic.Int64 {
	count := new(atomic.Int64)
	t.mutex.Lock()
	t.flows = append(t.flows, count)
	t.mutex.Unlock()
	return count
}

func (t *tally) read() []int64 {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	counts := make([]int64, len(t.flows))
	for i, flow := range t.flows {
		counts[i] = flow.Load()
	}
	return counts
}
