// A link in memory: packets wait in a queue, and one goroutine for each direction hands them to the stack at the other
// end. They aren't copied: both stacks refer to the same bytes.

package main

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// More than the windows of 64 flows, so that TCP never loses a packet here.
const queueLimit = 1 << 18

type link struct {
	mtu          int
	capabilities stack.LinkEndpointCapabilities
	gso          stack.SupportedGSO
	delay        time.Duration
	peer         *link
	dispatcher   stack.NetworkDispatcher

	mutex    sync.Mutex
	nonEmpty *sync.Cond
	queue    []packet
}

type packet struct {
	stack.PacketBufferPtr
	due time.Time
}

var _ stack.GSOEndpoint = (*link)(nil)

// newLink returns both ends of a link.
func newLink(s subject, o options) (*link, *link) {
	var ends [2]*link
	for i := range ends {
		l := &link{mtu: o.mtu, delay: o.rtt / 2}
		l.nonEmpty = sync.NewCond(&l.mutex)
		if !s.checksums {
			l.capabilities = stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload
		}
		if s.tuned && o.mtu <= 9000 {
			l.gso = stack.GvisorGSOSupported
		}
		ends[i] = l
	}
	ends[0].peer, ends[1].peer = ends[1], ends[0]
	return ends[0], ends[1]
}

func (l *link) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	var due time.Time
	if l.delay > 0 {
		due = time.Now().Add(l.delay)
	}
	written := 0
	l.mutex.Lock()
	for _, p := range packets.AsSlice() {
		if len(l.queue) >= queueLimit {
			break
		}
		// The receiver parses the packet afresh, so it gets one without the sender's notes on its headers.
		arriving := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: p.ToBuffer()})
		arriving.NetworkProtocolNumber = p.NetworkProtocolNumber
		l.queue = append(l.queue, packet{arriving, due})
		written++
	}
	l.mutex.Unlock()
	l.nonEmpty.Signal()
	if written == 0 {
		return 0, &tcpip.ErrNoBufferSpace{}
	}
	return written, nil
}

// deliver hands packets to the peer's stack, for ever.
func (l *link) deliver() {
	var batch []packet
	for {
		l.mutex.Lock()
		for len(l.queue) == 0 {
			l.nonEmpty.Wait()
		}
		batch, l.queue = l.queue, batch[:0]
		l.mutex.Unlock()
		for i, p := range batch {
			if l.delay > 0 {
				time.Sleep(time.Until(p.due))
			}
			l.peer.dispatcher.DeliverNetworkPacket(p.NetworkProtocolNumber, p.PacketBufferPtr)
			p.DecRef()
			batch[i] = packet{}
		}
	}
}

func (l *link) Attach(dispatcher stack.NetworkDispatcher)    { l.dispatcher = dispatcher }
func (l *link) IsAttached() bool                             { return l.dispatcher != nil }
func (l *link) MTU() uint32                                  { return uint32(l.mtu) }
func (l *link) Capabilities() stack.LinkEndpointCapabilities { return l.capabilities }
func (l *link) SupportedGSO() stack.SupportedGSO             { return l.gso }
func (l *link) GSOMaxSize() uint32                           { return stack.GvisorGSOMaxSize }
func (l *link) MaxHeaderLength() uint16                      { return 0 }
func (l *link) LinkAddress() tcpip.LinkAddress               { return "" }
func (l *link) ARPHardwareType() header.ARPHardwareType      { return header.ARPHardwareNone }
func (l *link) AddHeader(stack.PacketBufferPtr)              {}
func (l *link) Wait()                                        {}
