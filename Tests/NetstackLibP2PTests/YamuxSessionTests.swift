// The rules of Yamux, frame by frame (https://github.com/hashicorp/yamux/blob/master/spec.md), in virtual time.

import NIOCore
import NetstackLibP2P
import Testing

struct YamuxSessionTests {
    /// A session whose peer is the test.
    private final class Side {
        private final class Clock {
            var now = NIODeadline.uptimeNanoseconds(0)
        }

        let session: YamuxSession
        private let clock = Clock()

        init(_ role: YamuxSession.Role, limits: YamuxLimits = YamuxLimits()) {
            session = YamuxSession(role, limits: limits) { [clock] in clock.now }
        }

        /// A session and its streams refer to each other until it ends.
        deinit {
            session.end(LibP2PError.closed)
            _ = session.takeNews()
        }

        func wait(_ time: TimeAmount) { clock.now = clock.now + time }

        func receive(_ frame: YamuxFrame, _ data: [UInt8] = []) throws {
            var bytes = ByteBuffer()
            frame.write(to: &bytes)
            bytes.writeBytes(data)
            try session.receive(bytes)
        }

        /// What the session has sent.
        func sent() throws -> [(frame: YamuxFrame, data: [UInt8])] {
            var bytes = session.takeOutput()
            var frames: [(YamuxFrame, [UInt8])] = []
            while let frame = try YamuxFrame(parsing: &bytes) {
                let count = frame.kind == .data ? Int(frame.length) : 0
                frames.append((frame, bytes.readBytes(length: count) ?? []))
            }
            #expect(bytes.readableBytes == 0)
            return frames
        }

        /// A stream that the peer has opened and the session has accepted.
        func accepted(_ id: UInt32) throws -> YamuxStream {
            try receive(YamuxFrame(.windowUpdate, .syn, streamID: id))
            _ = try sent()
            return try #require(session.streams[id])
        }

        /// A ping, and the peer's answer to it.
        func ping(over roundTrip: TimeAmount) throws {
            let number = session.ping()
            wait(roundTrip)
            try receive(YamuxFrame(.ping, .ack, length: number))
        }

        /// The peer sends as much as the window lets it, and all of that is read.
        func fill(_ stream: YamuxStream) throws {
            let count = stream.receiveWindow
            try receive(
                YamuxFrame(.data, streamID: stream.id, length: UInt32(count)), Array(repeating: 1, count: count))
            while stream.read(upTo: .max) != nil {}
        }

        /// A stream that the session has opened and the peer has accepted.
        func opened() throws -> YamuxStream {
            let stream = try session.openStream()
            try receive(YamuxFrame(.windowUpdate, .ack, streamID: stream.id))
            _ = try sent()
            return stream
        }
    }

    private func fails(_ body: () throws -> Void) {
        #expect { try body() } throws: { error in
            if case .yamux? = error as? LibP2PError { true } else { false }
        }
    }

    // MARK: The header

    @Test func aHeaderIsTwelveBytesBigEndian() throws {
        var bytes = ByteBuffer()
        YamuxFrame(.windowUpdate, [.syn, .fin], streamID: 0x0102_0304, length: 0x0506_0708).write(to: &bytes)
        #expect(Array(bytes.readableBytesView) == [0, 1, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8])
        #expect(
            try YamuxFrame(parsing: &bytes)
                == YamuxFrame(.windowUpdate, [.syn, .fin], streamID: 0x0102_0304, length: 0x0506_0708))
    }

    @Test func aHeaderMayComeByteByByte() throws {
        let side = Side(.server)
        var bytes = ByteBuffer()
        YamuxFrame(.ping, .syn, length: 7).write(to: &bytes)
        for byte in bytes.readableBytesView { try side.session.receive(ByteBuffer(bytes: [byte])) }
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.ping, .ack, length: 7)])
    }

    @Test(
        arguments: [
            [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],  // version
            [0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],  // type
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // data of the session
            [0, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0],  // a ping of a stream
            [0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],  // a stream's go-away
        ] as [[UInt8]])
    func aHeaderThatCannotBeIsAnError(_ header: [UInt8]) {
        fails { try Side(.server).session.receive(ByteBuffer(bytes: header)) }
    }

    // MARK: Opening

    @Test func theClientHasOddNumbersAndTheServerEvenOnes() throws {
        for (role, numbers) in [(YamuxSession.Role.client, [1, 3, 5]), (.server, [2, 4, 6])] {
            let side = Side(role)
            for number in numbers {
                #expect(try side.session.openStream().id == UInt32(number))
                #expect(try side.sent().map(\.frame) == [YamuxFrame(.windowUpdate, .syn, streamID: UInt32(number))])
            }
        }
    }

    @Test func aStreamOfThePeerIsAcknowledged() throws {
        let side = Side(.server)
        try side.receive(YamuxFrame(.windowUpdate, .syn, streamID: 1))
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.windowUpdate, .ack, streamID: 1)])
        #expect(side.session.takeNews().accepted.map(\.id) == [1])
    }

    @Test func aStreamMayOpenWithDataOrWithAWindow() throws {
        let side = Side(.server)
        try side.receive(YamuxFrame(.data, .syn, streamID: 1, length: 3), [1, 2, 3])
        #expect(side.session.streams[1]?.read(upTo: .max) == ByteBuffer(bytes: [1, 2, 3]))
        try side.receive(YamuxFrame(.windowUpdate, .syn, streamID: 3, length: 1 << 20))
        var bytes = ByteBuffer(repeating: 0, count: 2 << 20)
        _ = try side.sent()
        let stream = try #require(side.session.streams[3])
        var sent = 0
        for _ in 0..<10 {
            try stream.write(&bytes, more: false)
            sent += try side.sent().reduce(0) { $0 + $1.data.count }
        }
        #expect(sent == (1 << 20) + YamuxStream.initialWindow)
    }

    @Test func aNumberOfTheWrongSideIsAnError() {
        fails { try Side(.server).receive(YamuxFrame(.windowUpdate, .syn, streamID: 2)) }
        fails { try Side(.client).receive(YamuxFrame(.windowUpdate, .syn, streamID: 1)) }
    }

    @Test func aNumberThatIsInUseIsAnError() throws {
        let side = Side(.server)
        _ = try side.accepted(1)
        fails { try side.receive(YamuxFrame(.windowUpdate, .syn, streamID: 1)) }
    }

    @Test func aFrameForAStreamThatNobodyHasOpenedIsAnError() {
        for id: UInt32 in [1, 2] {
            fails { try Side(.server).receive(YamuxFrame(.windowUpdate, streamID: id)) }
            fails { try Side(.client).receive(YamuxFrame(.data, streamID: id)) }
        }
    }

    @Test func streamsBeyondTheLimitAreReset() throws {
        var limits = YamuxLimits()
        limits.inboundStreams = 1
        let side = Side(.server, limits: limits)
        let first = try side.accepted(1)
        try side.receive(YamuxFrame(.windowUpdate, .syn, streamID: 3))
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.windowUpdate, .rst, streamID: 3)])
        #expect(side.session.refusedCount == 1)
        first.reset()
        _ = try side.accepted(5)
    }

    @Test func streamsThatNobodyAcknowledgesAreLimited() throws {
        var limits = YamuxLimits()
        limits.unacknowledgedStreams = 1
        let side = Side(.client, limits: limits)
        let first = try side.session.openStream()
        #expect(throws: LibP2PError.limitReached(what: "unacknowledgedStreams", limit: 1)) {
            try side.session.openStream()
        }
        try side.receive(YamuxFrame(.windowUpdate, .ack, streamID: first.id))
        _ = try side.session.openStream()
    }

    // MARK: Windows

    @Test func nothingIsSentBeyondTheWindow() throws {
        let side = Side(.client)
        let stream = try side.opened()
        var bytes = ByteBuffer(repeating: 7, count: YamuxStream.initialWindow + 5)
        try stream.write(&bytes, more: false)
        #expect(bytes.readableBytes == 5)
        #expect(try side.sent().reduce(0) { $0 + $1.data.count } == YamuxStream.initialWindow)
        try side.receive(YamuxFrame(.windowUpdate, streamID: stream.id, length: 3))
        try stream.write(&bytes, more: false)
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.data, streamID: stream.id, length: 3)])
    }

    @Test func aSessionThatEndsInTheMiddleOfAFrameIsLetGo() throws {
        weak var session: YamuxSession?
        do {
            let side = Side(.server)
            session = side.session
            _ = try side.accepted(1)
            try side.receive(YamuxFrame(.data, streamID: 1, length: 1000), [1])
            side.session.end(LibP2PError.closed)
            #expect(side.session.takeNews().touched.map(\.id) == [1, 1])
        }
        #expect(session == nil)
    }

    @Test func dataBeyondTheWindowIsAnErrorAtItsHeader() throws {
        let side = Side(.server)
        _ = try side.accepted(1)
        fails { try side.receive(YamuxFrame(.data, streamID: 1, length: UInt32(YamuxStream.initialWindow) + 1)) }
    }

    @Test func aWindowIsGivenBackOnlyForWhatHasBeenRead() throws {
        let side = Side(.server)
        let stream = try side.accepted(1)
        let half = YamuxStream.initialWindow / 2
        try side.receive(YamuxFrame(.data, streamID: 1, length: UInt32(half)), Array(repeating: 1, count: half))
        #expect(try side.sent().isEmpty)
        #expect(stream.read(upTo: half - 1)?.readableBytes == half - 1)
        #expect(try side.sent().isEmpty)
        #expect(stream.read(upTo: 1)?.readableBytes == 1)
        let update = YamuxFrame(.windowUpdate, streamID: 1, length: UInt32(half))
        // And the round trip is measured anew.
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.ping, .syn, length: 1), update])
    }

    @Test func theRoundTripIsMeasuredWhileBytesComeWithOnePingAtATime() throws {
        let side = Side(.server)
        let stream = try side.accepted(1)
        for number in 1...3 as ClosedRange<UInt32> {
            try side.fill(stream)
            try side.fill(stream)
            #expect(try side.sent().filter { $0.frame.kind == .ping }.map(\.frame.length) == [number])
            side.wait(.milliseconds(Int64(number)))
            try side.receive(YamuxFrame(.ping, .ack, length: number))
            #expect(side.session.roundTrip == .milliseconds(Int64(number)))
        }
    }

    @Test func aWindowAboveFourGibibytesIsAnError() throws {
        let side = Side(.client)
        let stream = try side.opened()
        fails { try side.receive(YamuxFrame(.windowUpdate, streamID: stream.id, length: .max)) }
    }

    /// Bytes that come in as fast as the window lets them, over a round trip of 100 ms.
    @Test func aWindowGrowsWithTheRoundTripUpToItsLimit() throws {
        var limits = YamuxLimits()
        limits.streamWindowBytes = 2 << 20
        let side = Side(.server, limits: limits)
        try side.ping(over: .milliseconds(100))
        #expect(side.session.roundTrip == .milliseconds(100))
        let stream = try side.accepted(1)
        var credit = 0
        for _ in 0..<20 {
            side.wait(.milliseconds(100))
            try side.fill(stream)
            credit = try side.sent().filter { $0.frame.kind == .windowUpdate }.reduce(0) { $0 + Int($1.frame.length) }
        }
        #expect(stream.window == 2 << 20)
        #expect(credit == 2 << 20)
    }

    /// The window that a stream had to itself, it has to share.
    @Test func aWindowShrinksToItsShareWhenMoreStreamsOpen() throws {
        var limits = YamuxLimits()
        limits.connectionWindowBytes = 8 << 20
        let side = Side(.server, limits: limits)
        try side.ping(over: .milliseconds(100))
        let first = try side.accepted(1)
        for _ in 0..<10 { try side.fill(first) }
        #expect(first.window == YamuxStream.initialWindow + 8 << 20)
        let others = try [3, 5, 7].map(side.accepted)
        for stream in [first] + others {
            for _ in 0..<10 { try side.fill(stream) }
            #expect(stream.window == YamuxStream.initialWindow + 2 << 20)
        }
    }

    @Test func allWindowsTogetherStayWithinTheConnectionsLimit() throws {
        var limits = YamuxLimits()
        limits.connectionWindowBytes = YamuxStream.initialWindow
        let side = Side(.server, limits: limits)
        try side.ping(over: .milliseconds(1))
        let streams = try [side.accepted(1), side.accepted(3)]
        for stream in streams {
            try side.receive(
                YamuxFrame(.data, streamID: stream.id, length: UInt32(YamuxStream.initialWindow)),
                Array(repeating: 1, count: YamuxStream.initialWindow))
            // At once, so within four round trips: the first takes all there is to grow by.
            while stream.read(upTo: .max) != nil {}
        }
        #expect(streams.reduce(0) { $0 + $1.window } == 3 * YamuxStream.initialWindow)
    }

    /// Slices of what came for others would hold on to all of that.
    @Test(arguments: [1, 100, 2000])
    func bytesThatWaitToBeReadTakeLittleMoreMemoryThanTheyAre(_ count: Int) throws {
        let side = Side(.server)
        let (idle, busy) = (try side.accepted(1), try side.accepted(3))
        let pieces = YamuxStream.initialWindow / max(count, 100)
        for _ in 0..<pieces {
            var bytes = ByteBuffer()
            YamuxFrame(.data, streamID: idle.id, length: UInt32(count)).write(to: &bytes)
            bytes.writeRepeatingByte(1, count: count)
            YamuxFrame(.data, streamID: busy.id, length: 100_000).write(to: &bytes)
            bytes.writeRepeatingByte(2, count: 100_000)
            try side.session.receive(bytes)
            while busy.read(upTo: .max) != nil {}
            _ = try side.sent()
        }
        var (read, held) = (0, 0)
        while let piece = idle.read(upTo: .max) {
            #expect(piece.readableBytesView.allSatisfy { $0 == 1 })
            read += piece.readableBytes
            held += piece.storageCapacity
        }
        #expect(read == pieces * count)
        #expect(held <= 4 * read + 4096)
    }

    @Test func whatCannotLeaveStaysInItsStream() throws {
        let side = Side(.client)
        let streams = try (0..<3).map { _ in try side.opened() }
        side.session.isWritable = false
        for stream in streams {
            var bytes = ByteBuffer(repeating: 1, count: 100_000)
            try stream.write(&bytes, more: false)
            #expect(bytes.readableBytes == 100_000)
        }
        #expect(side.session.hasWaiting)
        #expect(try side.sent().isEmpty)
    }

    // MARK: Closing

    @Test func aDirectionClosesAfterItsData() throws {
        let side = Side(.client)
        let stream = try side.opened()
        var bytes = ByteBuffer(string: "end")
        try stream.write(&bytes, more: false)
        stream.closeWrite()
        #expect(
            try side.sent().map(\.frame) == [
                YamuxFrame(.data, streamID: 1, length: 3), YamuxFrame(.windowUpdate, .fin, streamID: 1),
            ])
        // The other direction is open.
        try side.receive(YamuxFrame(.data, .fin, streamID: 1, length: 2), [1, 2])
        #expect(!stream.isFinished)
        #expect(stream.read(upTo: .max) == ByteBuffer(bytes: [1, 2]))
        #expect(stream.isFinished)
        #expect(side.session.streams.isEmpty)
    }

    @Test func aResetEndsBothDirections() throws {
        let side = Side(.server)
        let stream = try side.accepted(1)
        try side.receive(YamuxFrame(.windowUpdate, .rst, streamID: 1))
        #expect(stream.streamFailure as? LibP2PError == .streamReset)
        #expect(side.session.streams.isEmpty)
        // What was under way then is for nobody.
        try side.receive(YamuxFrame(.data, streamID: 1, length: 3), [1, 2, 3])
        try side.receive(YamuxFrame(.windowUpdate, .fin, streamID: 1))
        #expect(try side.sent().isEmpty)
    }

    @Test func dataThatComeWithAResetAreForNobody() throws {
        let side = Side(.server)
        let stream = try side.accepted(1)
        try side.receive(YamuxFrame(.data, .rst, streamID: 1, length: 3), [1, 2, 3])
        #expect(stream.streamFailure as? LibP2PError == .streamReset)
        #expect(stream.read(upTo: .max) == nil)
        // The session goes on behind them.
        try side.receive(YamuxFrame(.ping, .syn, length: 1))
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.ping, .ack, length: 1)])
    }

    @Test func dataMayAcknowledgeTheirStream() throws {
        var limits = YamuxLimits()
        limits.unacknowledgedStreams = 1
        let side = Side(.client, limits: limits)
        let stream = try side.session.openStream()
        #expect(throws: LibP2PError.self) { try side.session.openStream() }
        try side.receive(YamuxFrame(.data, .ack, streamID: stream.id, length: 1), [7])
        #expect(stream.read(upTo: .max) == ByteBuffer(bytes: [7]))
        _ = try side.session.openStream()
    }

    @Test func dataOfNoLengthMayEndADirection() throws {
        let side = Side(.server)
        let stream = try side.accepted(1)
        try side.receive(YamuxFrame(.data, streamID: 1))
        #expect(!stream.canRead)
        try side.receive(YamuxFrame(.data, .fin, streamID: 1))
        #expect(stream.isFinished)
    }

    @Test func closingWithBytesUnreadIsAReset() throws {
        let side = Side(.server)
        let stream = try side.accepted(1)
        try side.receive(YamuxFrame(.data, streamID: 1, length: 1), [1])
        stream.close()
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.windowUpdate, .rst, streamID: 1)])
    }

    @Test func dataForAStreamThatNobodyReadsAnyMoreAreAReset() throws {
        let side = Side(.server)
        let stream = try side.accepted(1)
        stream.close()
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.windowUpdate, .fin, streamID: 1)])
        try side.receive(YamuxFrame(.data, streamID: 1, length: 1), [1])
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.windowUpdate, .rst, streamID: 1)])
        #expect(side.session.streams.isEmpty)
    }

    @Test func dataAfterTheirEndAreAnError() throws {
        let side = Side(.server)
        _ = try side.accepted(1)
        try side.receive(YamuxFrame(.windowUpdate, .fin, streamID: 1))
        fails { try side.receive(YamuxFrame(.data, streamID: 1, length: 1), [1]) }
    }

    // MARK: The session

    @Test func pingsAreAnsweredWithTheirNumber() throws {
        let side = Side(.client)
        try side.receive(YamuxFrame(.ping, .syn, length: 0xdead_beef))
        #expect(try side.sent().map(\.frame) == [YamuxFrame(.ping, .ack, length: 0xdead_beef)])
    }

    @Test func anAnswerThatNobodyAskedForIsIgnored() throws {
        let side = Side(.client)
        try side.receive(YamuxFrame(.ping, .ack, length: 5))
        #expect(side.session.takeNews().answeredPings.isEmpty)
        #expect(side.session.roundTrip == nil)
    }

    /// Streams that end as they begin, and so are never too many at once.
    @Test func streamsThatFloodAreAnErrorBeforeTheirAnswersFillMemory() {
        let side = Side(.server)
        side.session.isWritable = false
        fails {
            for number in 0..<1_000_000 as Range<UInt32> {
                try side.receive(YamuxFrame(.windowUpdate, [.syn, .rst], streamID: 2 * number + 1))
            }
        }
        #expect(side.session.output.readableBytes <= (1 << 20) + 2 * YamuxFrame.headerLength)
    }

    @Test func pingsThatFloodAreAnErrorBeforeTheyFillMemory() {
        let side = Side(.client)
        side.session.isWritable = false
        fails { for number in 0..<1_000_000 { try side.receive(YamuxFrame(.ping, .syn, length: UInt32(number))) } }
        #expect(side.session.output.readableBytes <= (1 << 20) + YamuxFrame.headerLength)
    }

    @Test func afterAGoAwayStreamsGoOnAndNoneOpens() throws {
        let side = Side(.client)
        let stream = try side.opened()
        try side.receive(YamuxFrame(.goAway, length: YamuxSession.Code.internalError))
        #expect(throws: LibP2PError.goAway(code: 2)) { try side.session.openStream() }
        try side.receive(YamuxFrame(.data, streamID: 1, length: 1), [9])
        #expect(stream.read(upTo: .max) == ByteBuffer(bytes: [9]))
    }

    /// 4 MB through two sessions that hear of each other in pieces of any length.
    @Test func bytesArriveHoweverTheyAreCut() throws {
        let (near, far) = (Side(.client), Side(.server))
        let stream = try near.session.openStream()
        var generator = SystemRandomNumberGenerator()
        var (sent, received) = (0, 0)
        let total = 4 << 20
        var source = ByteBuffer()
        while received < total {
            if source.readableBytes == 0, sent < total {
                source = ByteBuffer(bytes: (0..<65536).map { UInt8(truncatingIfNeeded: (sent + $0) &* 31 >> 3) })
                sent += source.readableBytes
            }
            try stream.write(&source, more: false)
            for (from, to) in [(near, far), (far, near)] {
                var bytes = from.session.takeOutput()
                while bytes.readableBytes > 0 {
                    let count = Int.random(in: 1...min(bytes.readableBytes, 70_000), using: &generator)
                    guard let piece = bytes.readSlice(length: count) else { break }
                    try to.session.receive(piece)
                }
            }
            while let bytes = far.session.streams[1]?.read(upTo: .max) {
                for byte in bytes.readableBytesView {
                    guard byte == UInt8(truncatingIfNeeded: received &* 31 >> 3) else {
                        Issue.record("byte \(received) is another")
                        return
                    }
                    received += 1
                }
            }
        }
        #expect(received == total)
    }
}
