// What a stack's connections hold: no more than they may together, and nothing of what is over.

import NIOCore
import NetstackCore
import SwiftStack
import Testing

struct StackMemoryTests {
    /// 100 ms, at a rate for which 256 KiB are too little.
    private static var longPath: SimulatedLink.Conditions {
        var conditions = SimulatedLink.Conditions()
        conditions.rate = 200_000_000
        conditions.delay = .milliseconds(50)
        conditions.queueLimit = 4 << 20
        return conditions
    }

    /// 200 µs.
    private static var shortPath: SimulatedLink.Conditions {
        var conditions = longPath
        conditions.rate = 10_000_000_000
        conditions.delay = .microseconds(100)
        return conditions
    }

    /// Two stacks, of which nothing is left in the end.
    private func withTraffic(
        windowBytes: Int = 1 << 20, on path: SimulatedLink.Conditions = Self.longPath,
        _ body: (StackTraffic, VirtualLoop) throws -> Void
    ) throws {
        let loop = VirtualLoop()
        weak var near: StackCore?
        do {
            var limits = Stack.Limits()
            limits.windowBytes = windowBytes
            let traffic = try StackTraffic(
                [SwiftTCPSettings(), SwiftTCPSettings()], limits: limits, path, seed: 1, on: loop)
            near = traffic.stacks[0].core
            try body(traffic, loop)
            traffic.shutDown()
        }
        // Stacks that are let go of are freed on their loop.
        loop.run(until: loop.now + .seconds(1))
        #expect(near == nil)
        #expect(loop.timerCount == 0)
    }

    private static func grown(_ traffic: StackTraffic) -> [Int] {
        traffic.census.map { $0.counts["stack.engine.grownByteCount"] ?? 0 }
    }

    /// `Stack.Limits.windowBytes` is what send buffers and windows take together; and it is for those that need it.
    @Test func buffersGrowByNoMoreThanThereIsAndGiveItBackWhenIdle() throws {
        try withTraffic { traffic, loop in
            for _ in 0..<4 {
                traffic.openToListener((.init(length: 3_000_000, ending: .never), .init(length: 1, ending: .never)))
            }
            var most = [0, 0]
            for _ in 0..<1000 {
                loop.run(until: loop.now + .milliseconds(10))
                most = zip(most, Self.grown(traffic)).map(max)
            }
            for most in most { #expect((700_000...1 << 20).contains(most)) }
            #expect(traffic.conversations.allSatisfy { $0.answerer.readLength == 3_000_000 })
            loop.run(until: loop.now + .seconds(20))
            #expect(Self.grown(traffic) == [0, 0])
            for census in traffic.census { #expect(census.counts["stack.connections"] == 4) }
        }
    }

    /// No round trip calls for more than all have: together, they get what a link takes, once they have used what they had.
    @Test(arguments: [1, 4]) func windowsThatAreUsedGrowWhereTheRoundTripIsShort(_ count: Int) throws {
        try withTraffic(windowBytes: 64 << 20, on: Self.shortPath) { traffic, loop in
            for _ in 0..<count {
                traffic.openToListener((.init(length: 3_000_000, ending: .never), .init(length: 1, ending: .never)))
            }
            var most = 0
            for _ in 0..<1000 {
                loop.run(until: loop.now + .milliseconds(1))
                most = max(most, Self.grown(traffic)[1])
            }
            #expect(most == 768 << 10)
            #expect(traffic.conversations.allSatisfy { $0.answerer.readLength == 3_000_000 })
        }
    }

    @Test func aConnectionThatIsResetIsFreed() throws {
        try withTraffic(windowBytes: .max) { traffic, loop in
            let (near, far) = (traffic.stacks[0].core, traffic.stacks[1].core)
            let listener = try far.listen(port: 81, at: nil, backlog: 1)
            var block: TCPControlBlock? = try near.connect(to: Self.remote, from: nil) { _ in }
            // Long enough for timers to have ended that would tidy up.
            loop.run(until: loop.now + .hours(1))
            var peer = listener.take()
            weak let freed = block
            weak let freedPeer = peer
            block?.reset()
            block = nil
            loop.run(until: loop.now + .seconds(1))
            #expect(freed == nil)
            #expect(peer?.failure == .connectionReset)
            peer = nil
            #expect(freedPeer == nil)
        }
    }

    private static let remote = TransportAddress(.v4(IPv4Address(10, 0, 0, 2)), 81)

    /// For two minutes the peer may ask for the last acknowledgment again; for that nobody has to keep what was never read.
    @Test func whatIsUnreadIsNotKeptForTimeWait() throws {
        try withTraffic { traffic, loop in
            let (near, far) = (traffic.stacks[0].core, traffic.stacks[1].core)
            let listener = try far.listen(port: 81, at: nil, backlog: 1)
            var block: TCPControlBlock? = try near.connect(to: Self.remote, from: nil) { _ in }
            loop.run(until: loop.now + .seconds(1))
            block?.closeWrite()
            let peer = try #require(listener.take())
            var data = ByteBuffer(repeating: 7, count: 50_000)
            try peer.write(&data)
            peer.closeWrite()
            loop.run(until: loop.now + .seconds(1))
            #expect(traffic.census[0].counts["stack.engine.timeWait"] == 1)
            #expect(block?.read(upTo: 1000)?.readableBytes == 1000)
            weak let transport = block?.transport
            #expect(transport != nil)
            block = nil
            #expect(transport == nil)
            #expect(traffic.census[0].counts["stack.engine.timeWait"] == 1)
            loop.run(until: loop.now + .minutes(3))
            #expect(traffic.census[0].counts["stack.engine.timeWait"] == nil)
        }
    }
}
