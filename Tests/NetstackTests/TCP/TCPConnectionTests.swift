// Connections between two stacks of ours, through the public API.

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Netstack
import TestSupport
import Testing

@Suite struct TCPConnectionTests {
    @Test(arguments: [IPVersion.v4, .v6])
    func carriesBytesBothWays(_ version: IPVersion) async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected(version)
            try await near.write("question")
            #expect(try await far.read(exactly: 8) == ByteBuffer(string: "question"))
            try await far.write("answer")
            #expect(try await near.read(exactly: 6) == ByteBuffer(string: "answer"))
            #expect(near.localAddress == far.remoteAddress)
            #expect(near.remoteAddress == far.localAddress)
            await near.close()
            #expect(try await far.read() == nil)
            await far.close()
        }
    }

    @Test(arguments: [576, 1280, 1500, 9000, 65535], [LinkKind.memory, .packets])
    func carriesMegabytesAtAnyMTU(_ mtu: Int, _ link: LinkKind) async throws {
        try await StackPair.with(mtu: mtu, link: link) { pair in
            let (near, far) = try await pair.connected()
            let total = 8 << 20
            async let sent: Void = {
                for offset in stride(from: 0, to: total, by: 100_000) {
                    try await near.write(pattern(min(100_000, total - offset), from: offset))
                }
                try await near.closeWrite()
            }()
            var offset = 0
            while let bytes = try await far.read() {
                try #require(bytes == pattern(bytes.readableBytes, from: offset))
                offset += bytes.readableBytes
            }
            try await sent
            #expect(offset == total)
        }
    }

    @Test func halfClosesInBothDirections() async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected()
            try await near.write("all I have")
            try await near.closeWrite()
            #expect(try await far.readToEnd() == ByteBuffer(string: "all I have"))
            try await far.write("thank you")
            try await far.closeWrite()
            #expect(try await near.readToEnd() == ByteBuffer(string: "thank you"))
            await #expect(throws: NetstackError.closed) { try await near.write("more") }
            #expect(try await near.read() == nil)
        }
    }

    @Test func aResetIsAnErrorAndNotTheEnd() async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected()
            await near.reset()
            await #expect(throws: NetstackError.connectionReset) { try await far.read() }
            await #expect(throws: NetstackError.connectionReset) { try await far.write("x") }
            await #expect(throws: NetstackError.closed) { try await near.read() }
        }
    }

    @Test func whatWasWrittenBeforeCloseArrives() async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected()
            let bytes = pattern(1 << 20)
            async let received = far.readToEnd()
            try await near.write(bytes)
            await near.close()
            #expect(try await received == bytes)
        }
    }

    @Test func closingWithUnreadBytesStillDeliversWhatWasWritten() async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected()
            try await far.write("never read")
            _ = try await near.read(upTo: 1)
            try await near.write("last words")
            await near.close()
            #expect(try await far.readToEnd() == ByteBuffer(string: "last words"))
        }
    }

    @Test func aReaderThatWaitsMakesTheWriterWait() async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected()
            let writer = Task {
                var written = 0
                while !Task.isCancelled {
                    do { try await near.write(pattern(1 << 16)) } catch is CancellationError { break }
                    written += 1 << 16
                }
                return written
            }
            // A datagram the other way, and back, comes after all that the writer could send at once.
            for _ in 0..<20 { _ = try await pair.near.ping(StackPair.farAddress, timeout: .seconds(60)) }
            writer.cancel()
            let written = try await writer.value
            // What both ends hold: the windows, and one write. Without back-pressure it would be as much as time allows.
            #expect(written <= 12 << 16)
            let all = try await {
                try await near.closeWrite()
                return try await far.readToEnd().readableBytes
            }()
            #expect(all >= written)
        }
    }

    @Test func aClosedPortRefuses() async throws {
        try await StackPair.with { pair in
            for version in [IPVersion.v4, .v6] {
                let nowhere = TransportAddress(StackPair.far(version), 9)
                await #expect(throws: NetstackError.refused(nowhere)) { try await pair.near.connect(to: nowhere) }
            }
        }
    }

    @Test func silenceTimesOut() async throws {
        try await StackPair.with { pair in
            let nobody = try TransportAddress("10.9.9.9:80")
            await #expect(throws: NetstackError.timedOut(nobody)) {
                try await pair.near.connect(to: nobody, timeout: .milliseconds(50))
            }
        }
    }

    @Test(arguments: [
        "127.0.0.1:80", "0.0.0.0:80", "224.0.0.1:80", "255.255.255.255:80", "[::1]:80", "[::]:80", "10.0.0.1:80",
        "[::ffff:127.0.0.1]:80",
    ])
    func refusesToDialWhatNoPacketMayCarry(_ text: String) async throws {
        try await StackPair.with { pair in
            let address = try TransportAddress(text)
            let error = await #expect(throws: NetstackError.self) { try await pair.near.connect(to: address) }
            guard case .addressNotAvailable(address.address, _)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func cancellingAConnectReleasesIt() async throws {
        try await StackPair.with { pair in
            let dial = Task { try await pair.near.connect(to: TransportAddress("10.9.9.9:80")) }
            while await pair.near.connectionCount == 0 { await Task.yield() }
            dial.cancel()
            await #expect(throws: CancellationError.self) { try await dial.value }
            #expect(await pair.near.connectionCount == 0)
        }
    }

    @Test func cancellingAReadLeavesTheConnectionUsable() async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected()
            let read = Task { try await near.read() }
            read.cancel()
            await #expect(throws: CancellationError.self) { try await read.value }
            try await far.write("still here")
            #expect(try await near.read(exactly: 10) == ByteBuffer(string: "still here"))
        }
    }

    @Test func aDroppedConnectionIsReset() async throws {
        try await StackPair.with { pair in
            var connections: (TCPConnection, TCPConnection)? = try await pair.connected()
            let far = try #require(connections).1
            connections = nil
            await #expect(throws: NetstackError.connectionReset) { try await far.read() }
        }
    }

    @Test func concurrentWritesDoNotMix() async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for letter in "abcd".utf8 {
                    group.addTask { try await near.write(ByteBuffer(repeating: letter, count: 300_000)) }
                }
                group.addTask {
                    let all = try await far.read(exactly: 1_200_000)
                    let runs = all.readableBytesView.reduce(into: [UInt8]()) { if $0.last != $1 { $0.append($1) } }
                    #expect(runs.count == 4)
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func manyConnectionsAtOnce() async throws {
        try await StackPair.with { pair in
            let listener = try await pair.far.listen(port: 7)
            async let served: Void = withThrowingTaskGroup(of: Void.self) { group in
                var left = 500
                for try await connection in listener {
                    group.addTask {
                        let bytes = try await connection.readToEnd()
                        try await connection.write(bytes)
                        await connection.close()
                    }
                    left -= 1
                    if left == 0 { break }
                }
                try await group.waitForAll()
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<500 {
                    group.addTask {
                        let address = StackPair.far(index % 2 == 0 ? .v4 : .v6)
                        let connection = try await pair.near.connect(to: TransportAddress(address, 7))
                        let bytes = pattern(10_000, from: index)
                        try await connection.write(bytes)
                        try await connection.closeWrite()
                        #expect(try await connection.readToEnd() == bytes)
                    }
                }
                try await group.waitForAll()
            }
            try await served
        }
    }

    @Test func connectionsShareAFullLinkFairly() async throws {
        // On a loop of its own: where all tests share one, round trips differ by what else goes on, and so do shares.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        // Whole segments make the race so short that shares tell how late tasks begin: the benchmark measures those.
        try await StackPair.with(mtu: 1500, on: group.next(), link: .packets) { pair in
            let race = Race(flows: 32, length: 4 << 20)
            var connections: [(TCPConnection, TCPConnection)] = []
            for _ in 0..<race.flows { connections.append(try await pair.connected()) }
            let bytes = pattern(race.length)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (flow, (near, far)) in connections.enumerated() {
                    group.addTask { try await near.write(bytes) }
                    group.addTask {
                        var count = 0
                        while count < race.length {
                            count += try #require(await far.read()).readableBytes
                            race.reached(count, flow)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let counts = try #require(race.whenTheFirstWasDone)
            #expect(counts.allSatisfy { $0 > race.length / 4 }, "\(counts)")
        }
        try await group.shutdownGracefully()
    }

    @Test func tasksThatPreferTheStacksExecutorStayOnItsEventLoop() async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected()
            try await withTaskExecutorPreference(pair.near.taskExecutor) {
                async let echo: Void = {
                    while let bytes = try await far.read() { try await far.write(bytes) }
                }()
                for _ in 0..<1000 {
                    try await near.write("x")
                    #expect(try await near.read() == ByteBuffer(string: "x"))
                    #expect(pair.near.eventLoop.inEventLoop)
                }
                try await near.closeWrite()
                try await echo
            }
            await near.close()
            await far.close()
        }
    }

    /// Each call of the connection leaves the event loop's actor again: in the same turn, but not for ever.
    @Test func aTaskOfNoActorGoesOnWithinTheTurn() async throws {
        try await StackPair.with { pair in
            let (near, far) = try await pair.connected()
            let loop = pair.near.eventLoop
            let callsBeforeTheLoopWentOn = try await withTaskExecutorPreference(pair.near.taskExecutor) {
                let loopWentOn = NIOLoopBoundBox(false, eventLoop: loop)
                loop.execute { loopWentOn.value = true }
                for count in 0..<1000 {
                    try await near.write(ByteBuffer())
                    if loopWentOn.value { return count }
                }
                return 1000
            }
            #expect((10..<1000).contains(callsBeforeTheLoopWentOn))
            await near.close()
            await far.close()
        }
    }

    /// An actor's method is left and entered again where the task prefers another executor: what comes meanwhile counts.
    @Test func tasksThatPreferAnExecutorMissNothing() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let pair = try await StackPair(nearLoop: group.next(), farLoop: group.next())
        let (near, far) = try await pair.connected()
        try await withTaskExecutorPreference(LoopTasks(pair.near.eventLoop)) {
            async let echo: Void = {
                while let bytes = try await far.read() { try await far.write(bytes) }
            }()
            for _ in 0..<5_000 {
                try await near.write("x")
                #expect(try await near.read() == ByteBuffer(string: "x"))
            }
            try await near.closeWrite()
            try await echo
        }
        await pair.shutdown()
        try await group.shutdownGracefully()
    }
}

/// Runs tasks on an event loop, as a server of its own might.
private final class LoopTasks: TaskExecutor {
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute {
            job.runSynchronously(
                isolatedTo: self.eventLoop.executor.asUnownedSerialExecutor(),
                taskExecutor: self.asUnownedTaskExecutor())
        }
    }
}

/// How far flows have got that set out together.
private final class Race: Sendable {
    let flows: Int
    let length: Int
    private let state: NIOLockedValueBox<(counts: [Int], whenTheFirstWasDone: [Int]?)>

    init(flows: Int, length: Int) {
        (self.flows, self.length) = (flows, length)
        state = NIOLockedValueBox((Array(repeating: 0, count: flows), nil))
    }

    var whenTheFirstWasDone: [Int]? { state.withLockedValue { $0.whenTheFirstWasDone } }

    func reached(_ count: Int, _ flow: Int) {
        state.withLockedValue {
            $0.counts[flow] = count
            if count == length, $0.whenTheFirstWasDone == nil { $0.whenTheFirstWasDone = $0.counts }
        }
    }
}
