// An echo sends back what arrives, in one goroutine for all of its connections. With a goroutine for each, an idle
// connection would cost a goroutine's stack too.

package main

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// The connections that something has happened to.
type echo chan *echoed

type echoed struct {
	*stream
	echo   echo
	entry  waiter.Entry
	queued atomic.Bool
}

func newEcho() echo {
	// A connection is queued once, so there is room for as many as there are ports.
	e := make(echo, 1<<16)
	go e.run()
	return e
}

func (e echo) add(s *stream) {
	c := &echoed{stream: s, echo: e}
	c.entry.Init(c, readable)
	s.queue.EventRegister(&c.entry)
	// For what has arrived before.
	c.NotifyEvent(readable)
}

// NotifyEvent implements waiter.EventListener.
func (c *echoed) NotifyEvent(waiter.EventMask) {
	if !c.queued.Swap(true) {
		c.echo <- c
	}
}

func (e echo) run() {
	bytes := make([]byte, 64)
	for c := range e {
		c.queued.Store(false)
		if err := c.answer(bytes); err != errWouldBlock {
			c.queue.EventUnregister(&c.entry)
			c.Close()
		}
	}
}

func (c *echoed) answer(bytes []byte) error {
	for {
		w := tcpip.SliceWriter(bytes)
		n, err := c.takeInto(&w)
		if err != nil {
			return err
		}
		if _, err := c.Write(bytes[:n]); err != nil {
			return err
		}
	}
}
