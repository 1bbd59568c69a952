// Bytes between a connection of a stack and one of the kernel. Buffers are taken once there are bytes for them, so an
// idle connection has none.

package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

type buffer [256 << 10]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// splice returns when both directions have ended.
func splice(inside *stream, outside *net.TCPConn, uploaded *atomic.Int64) {
	defer inside.Close()
	defer outside.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := carryIn(inside, outside); err != nil {
			outside.Close()
		}
		inside.CloseWrite()
	}()
	if err := carryOut(outside, inside, uploaded); err != nil {
		inside.Close()
	}
	outside.CloseWrite()
	<-done
}

// carryOut carries bytes to the kernel until the stack's connection ends.
func carryOut(outside *net.TCPConn, inside *stream, count *atomic.Int64) error {
	for {
		var gathered gatherer
		n, err := inside.readInto(&gathered)
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		_, err = outside.Write(gathered.buffer[:n])
		buffers.Put(gathered.buffer)
		if err != nil {
			return err
		}
		count.Add(int64(n))
	}
}

// A gatherer puts into one buffer what a stack hands over segment by segment.
type gatherer struct {
	buffer *buffer
	count  int
}

func (g *gatherer) Write(segment []byte) (int, error) {
	if g.buffer == nil {
		g.buffer = buffers.Get().(*buffer)
	}
	n := copy(g.buffer[g.count:], segment)
	g.count += n
	if n < len(segment) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// carryIn carries bytes to the stack until the kernel's connection ends.
func carryIn(inside *stream, outside *net.TCPConn) error {
	descriptor, err := outside.SyscallConn()
	if err != nil {
		return err
	}
	for {
		bytes, count, err := readWhenReady(descriptor)
		if count <= 0 {
			return err
		}
		_, err = inside.Write(bytes[:count])
		buffers.Put(bytes)
		if err != nil {
			return err
		}
	}
}

// readWhenReady returns no bytes at the end.
func readWhenReady(descriptor syscall.RawConn) (bytes *buffer, count int, err error) {
	closed := descriptor.Read(func(fd uintptr) bool {
		bytes = buffers.Get().(*buffer)
		count, err = syscall.Read(int(fd), bytes[:])
		if count <= 0 {
			buffers.Put(bytes)
		}
		return err != syscall.EAGAIN
	})
	if closed != nil {
		return nil, 0, closed
	}
	return bytes, count, err
}
