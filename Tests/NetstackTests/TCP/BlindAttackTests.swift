// Segments by someone who can't see the connection and guesses (RFC 5961), and what there is to guess.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct BlindAttackTests {
    /// Runs `attack` on an open connection, which then still takes what the peer sends, and nothing else.
    private func surviving(
        dropped: [DropReason: Int] = [:], _ attack: @Sendable (RawPeer) async throws -> Void
    ) async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 65535)
            let connection = try #require(await listener.first { _ in true })
            try await attack(peer)
            try await peer.send([.ack, .psh], window: 65535, payload: pattern(100))
            #expect(try await connection.read(exactly: 100) == pattern(100))
            let drops = try await stack.statistics(of: 1).dropped
            for (reason, count) in dropped { #expect(drops[reason] == count) }
            #expect(drops.total == dropped.values.reduce(0, +))
            try await connection.write("alive")
            #expect(try await peer.next { $0.segmentLength == 5 }.payload == ByteBuffer(string: "alive"))
            await connection.close()
        }
    }

    /// The answer that says where the connection stands, so that an honest peer can mend what it has wrong.
    private func expectChallenge(_ peer: RawPeer) async throws {
        // The SYN-ACK may have been sent again before the handshake's end was seen.
        let answer = try await peer.next { $0.flags != [.syn, .ack] }.header
        #expect(answer.flags == .ack)
        #expect(answer.sequenceNumber == peer.stackFirst)
        #expect(answer.acknowledgmentNumber == peer.first)
        #expect(answer.segmentLength == 0)
    }

    @Test(arguments: [1, 1000, 65534] as [UInt32])
    func aResetInTheWindowButNotAtItsStartIsChallenged(_ offset: UInt32) async throws {
        try await surviving(dropped: [.reset: 1]) { peer in
            try await peer.send(.rst, at: offset, window: 0)
            try await expectChallenge(peer)
        }
    }

    @Test(arguments: [UInt32.max, 1 << 24, 1 << 31])
    func aResetOutsideOfTheWindowIsIgnored(_ offset: UInt32) async throws {
        try await surviving(dropped: [.reset: 2, .synchronized: 1]) { peer in
            try await peer.send(.rst, at: offset, window: 0)
            try await peer.send([.rst, .ack], at: offset, window: 0)
            // Nothing answers it: the next that is heard is the challenge to another.
            try await peer.send(.syn, at: 7, window: 0)
            try await expectChallenge(peer)
        }
    }

    @Test(arguments: [UInt32.max, 0, 1, 1000, 1 << 31])
    func aSYNOnAnOpenConnectionIsChallenged(_ offset: UInt32) async throws {
        try await surviving(dropped: [.synchronized: 2]) { peer in
            try await peer.send(.syn, at: offset, window: 1000)
            try await expectChallenge(peer)
            try await peer.send([.syn, .ack], at: offset, window: 1000)
            try await expectChallenge(peer)
        }
    }

    /// RFC 5961 section 7: a stack is not made to flood someone, nor two stacks each other.
    @Test func thereAreTenChallengesAndThenNoMoreForAWhile() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 65535)
            let connection = try #require(await listener.first { _ in true })
            let start = ContinuousClock.now
            // One acknowledgment may answer all that comes at once.
            for _ in 0..<10 {
                try await peer.send(.rst, at: 1, window: 0)
                try await expectChallenge(peer)
            }
            for _ in 0..<990 { try await peer.send(.rst, at: 1, window: 0) }
            while try await stack.statistics(of: 1).dropped[.reset] < 1000 { await Task.yield() }
            let further = Int((ContinuousClock.now - start) / .milliseconds(500)) + 1
            // SYN-ACKs, which may have been sent again, and the challenges.
            #expect(try await stack.statistics(of: 1).packetsSent <= 10 + further + 5)
            try await peer.send([.ack, .psh], window: 65535, payload: pattern(100))
            #expect(try await connection.read(exactly: 100) == pattern(100))
            await connection.close()
        }
    }

    @Test func dataThatAcknowledgeWhatWasNeverSentAreChallengedAndDropped() async throws {
        try await surviving(dropped: [.acknowledgment: 2]) { peer in
            for acknowledged in [1, 1 << 30] as [UInt32] {
                try await peer.send(.ack, acknowledging: acknowledged, window: 0, payload: ByteBuffer(string: "evil"))
                try await expectChallenge(peer)
            }
        }
    }

    /// RFC 5961 section 5.2: what is older than the largest window ever was can't be a late segment of the peer.
    @Test func dataThatAcknowledgeWhatIsLongAgoAreChallengedAndDropped() async throws {
        try await surviving(dropped: [.acknowledgment: 2]) { peer in
            for acknowledged in [0 &- 65536, 1 << 31] as [UInt32] {
                try await peer.send(.ack, acknowledging: acknowledged, window: 0, payload: ByteBuffer(string: "evil"))
                try await expectChallenge(peer)
            }
        }
    }

    @Test func dataThatAcknowledgeALittleLessThanHasBeenAcknowledgedAreTaken() async throws {
        try await RawPeer.with { _, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 65535)
            let connection = try #require(await listener.first { _ in true })
            try await peer.send(.ack, acknowledging: 0 &- 1000, window: 65535, payload: pattern(10))
            #expect(try await connection.read(exactly: 10) == pattern(10))
            await connection.close()
        }
    }

    /// RFC 9293 section 3.10.7.4, fifth: who has to guess no acknowledgment has half as much to guess.
    @Test(arguments: [[], .psh, .fin, [.fin, .urg]] as [TCPHeader.Flags])
    func segmentsWithoutAnAcknowledgmentAreDropped(_ flags: TCPHeader.Flags) async throws {
        try await surviving(dropped: [.acknowledgment: 1]) { peer in
            try await peer.send(flags, window: 0, payload: ByteBuffer(string: "evil"))
        }
    }

    // MARK: What there is to guess

    /// RFC 6528: numbers of one connection say nothing about another's, and a successor's begin above its predecessor's.
    @Test func initialSequenceNumbersDifferByConnectionAndGrow() async throws {
        try await RawPeer.with { _, _, endpoint in
            let clock = ContinuousClock()
            var close = 0
            var last: UInt32?
            for port in 5000..<5032 as Range<UInt16> {
                var peer = RawPeer(endpoint, port: port)
                let start = clock.now
                let first = try await peer.handshake(window: 1000).sequenceNumber
                try await peer.send(.rst, window: 0)
                let second = try await peer.handshake(window: 1000).sequenceNumber
                try await peer.send(.rst, window: 0)
                // Numbers that grow come round again, after 137 seconds.
                if clock.now - start < .seconds(120) { #expect((1..<1 << 31).contains(second &- first)) }
                if let last, min(first &- last, last &- first) < 1 << 24 { close += 1 }
                last = second
            }
            // By chance, one in 128.
            #expect(close < 8)
        }
    }

    /// RFC 6056.
    @Test func ephemeralPortsAreRandom() async throws {
        try await StackPair.with { pair in
            let listener = try await pair.far.listen(port: 80)
            var ports: [Int] = []
            for _ in 0..<32 {
                let connection = try await pair.near.connect(to: TransportAddress(StackPair.farAddress, 80))
                ports.append(Int(connection.localAddress.port))
                await connection.reset()
            }
            #expect(ports.allSatisfy { $0 >= 1024 })
            // By chance, one in some hundred is near its predecessor.
            #expect(zip(ports, ports.dropFirst()).count { abs($0 - $1) < 64 } < 8)
            await listener.close()
        }
    }
}
