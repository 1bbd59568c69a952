// A reset at the next byte, in every state of a connection (RFC 9293 section 3.10.7.4, RFC 1337).

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct ResetTests {
    enum State: CaseIterable {
        case synReceived, established, finWait1, finWait2, closeWait, closing, lastACK
    }

    @Test(arguments: State.allCases)
    func aResetEndsTheConnection(in state: State) async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            var connection: TCPConnection?
            var next: UInt32 = 0
            if state == .synReceived {
                try await endpoint.write(
                    tcpPacket(.syn, from: peer.source, to: RawPeer.stackAddress, sequence: peer.first &- 1))
                try await peer.heardSYN()
            } else {
                try await peer.handshake(window: 65535)
                let accepted = try #require(await listener.first { _ in true })
                next = try await bring(accepted, to: state, peer)
                connection = accepted
            }
            try await peer.send(.rst, at: next, window: 0)
            // It is gone: nobody knows what this is about.
            try await peer.send(.ack, at: 1, window: 0)
            #expect(try await peer.next { $0.flags.contains(.rst) }.header.sequenceNumber == peer.stackFirst)
            #expect(await stack.connectionCount == 0)
            switch (state, connection) {
            case (.closing, let connection?):
                // Its user has closed and read all: nothing is left to tell.
                #expect(try await connection.read() == nil)
            case (_, let connection?):
                await #expect(throws: NetstackError.connectionReset) { try await connection.read() }
            default: break
            }
        }
    }

    /// - Returns: where the peer's next byte would be.
    private func bring(_ connection: TCPConnection, to state: State, _ peer: RawPeer) async throws -> UInt32 {
        func hearFIN() async throws { _ = try await peer.next { $0.flags.contains(.fin) } }
        func sendFIN(acknowledging: UInt32) async throws {
            try await peer.send([.fin, .ack], acknowledging: acknowledging, window: 65535)
            _ = try await peer.next { $0.acknowledgmentNumber == peer.first &+ 1 }
        }
        switch state {
        case .synReceived, .established:
            return 0
        case .finWait1:
            try await connection.closeWrite()
            try await hearFIN()
            return 0
        case .finWait2:
            try await connection.closeWrite()
            try await hearFIN()
            try await peer.send(.ack, acknowledging: 1, window: 65535)
            return 0
        case .closeWait:
            try await sendFIN(acknowledging: 0)
            return 1
        case .closing:
            try await connection.closeWrite()
            try await hearFIN()
            try await sendFIN(acknowledging: 0)
            return 1
        case .lastACK:
            try await sendFIN(acknowledging: 0)
            try await connection.closeWrite()
            try await hearFIN()
            return 1
        }
    }

    @Test func aResetRefusesWhatIsBeingDialledIfItAcknowledgesTheSYN() async throws {
        try await RawPeer.with { stack, _, endpoint in
            let remote = TransportAddress(StackPair.farAddress, 80)
            let dialled = Task { try await stack.connect(to: remote, from: RawPeer.stackAddress.withPort(6000)) }
            let syn = try await hearSYN(endpoint)
            let strays: [(UInt32, TCPHeader.Flags)] = [
                (syn, [.rst, .ack]), (syn &+ 2, [.rst, .ack]), (syn &+ 1, .rst),
            ]
            for (number, flags) in strays {
                try await endpoint.write(
                    tcpPacket(flags, from: remote, to: RawPeer.stackAddress.withPort(6000), acknowledgment: number))
            }
            // None of these did anything: the SYN is sent again.
            #expect(try await hearSYN(endpoint) == syn)
            try await endpoint.write(
                tcpPacket(
                    [.rst, .ack], from: remote, to: RawPeer.stackAddress.withPort(6000), acknowledgment: syn &+ 1))
            await #expect(throws: NetstackError.refused(remote)) { _ = try await dialled.value }
        }
    }

    private func hearSYN(_ endpoint: Endpoint) async throws -> UInt32 {
        while true {
            let packet = try #require(await endpoint.read())
            let header = try IPHeader(parsing: packet.readableBytesSpan)
            let tcp = try TCPHeader(parsing: packet.readableBytesSpan.extracting(header.payload))
            if tcp.flags == .syn { return tcp.sequenceNumber }
        }
    }

    /// RFC 1337: a reset that ended TIME-WAIT would let old segments into the next connection.
    @Test func aResetDoesNotEndTIMEWAIT() async throws {
        try await RawPeer.with { _, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 65535)
            let connection = try #require(await listener.first { _ in true })
            try await connection.closeWrite()
            _ = try await peer.next { $0.flags.contains(.fin) }
            try await peer.send([.fin, .ack], acknowledging: 1, window: 65535)
            _ = try await peer.next { $0.acknowledgmentNumber == peer.first &+ 1 }
            try await peer.send(.rst, at: 1, window: 0)
            try await peer.send([.fin, .ack], acknowledging: 1, window: 65535)
            let answer = try await peer.next().header
            #expect(answer.flags == .ack)
            #expect(answer.acknowledgmentNumber == peer.first &+ 1)
            #expect(try await connection.read() == nil)
        }
    }
}

extension TransportAddress {
    fileprivate func withPort(_ port: UInt16) -> TransportAddress { TransportAddress(address, port) }
}
