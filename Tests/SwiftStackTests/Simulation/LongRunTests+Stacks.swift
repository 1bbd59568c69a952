// The day with whole stacks: packets with wrong bits, listeners and forwarders, ports used again, and each hour a quiet point at
// which everything has been given back. The bare machines keep their own day: they have options there that a stack does
// not offer, keep alive what idles, and are never all closed at once.

import NIOCore
import NetstackCore
import SwiftStack
import Testing

extension LongRunTests {
    /// The longest time from one connection to the next, in milliseconds: some 7,000 packets an hour come of it where nothing is
    /// optimized, and some 80,000 else.
    private static var longestGap: Int64 {
        #if DEBUG
            25_000
        #else
            2_000
        #endif
    }

    @Test func connectionsOfStacksComeAndGo() throws {
        let loop = VirtualLoop()
        weak var near: StackCore?
        weak var far: StackCore?
        do {
            let traffic = try Self.makeTraffic(on: loop)
            near = traffic.stacks[0].core
            far = traffic.stacks[1].core
            Self.playDay(traffic)
            traffic.shutDown()
        }
        loop.run(until: loop.now + .seconds(1))
        #expect(loop.timerCount == 0)
        #expect(near == nil)
        #expect(far == nil)
    }

    private static func makeTraffic(on loop: VirtualLoop) throws -> StackTraffic {
        var far = SwiftTCPSettings()
        far.congestionControl = .newReno
        far.asksForECN = true
        return try StackTraffic([SwiftTCPSettings(), far], SimulatedLink.Conditions(), seed: 24, on: loop)
    }

    private static func playDay(_ traffic: StackTraffic) {
        var random = SeededGenerator(state: 25)
        var atRest: [StackCensus] = []
        var memory: [Int] = []
        for hour in 1...24 {
            let busy = playHour(traffic, &random)
            let census = traffic.census
            if atRest.isEmpty { atRest = census }
            #expect(census == atRest, "hour \(hour)")
            #expect(zip(busy, census).allSatisfy { $0.total > $1.total })
            #expect(traffic.loop.timerCount == 0)
            memory.append(residentMemory)
        }
        #expect(traffic.problems.isEmpty, "\(traffic.problems.prefix(5))")
        // What others hold at the same time comes and goes.
        #expect((memory.suffix(12).min() ?? 0) - memory[1] < 32 << 20, "\(memory)")
        // There was something to withstand.
        #expect(traffic.complete * 2 > traffic.opened)
        #expect(traffic.successors > 0 && traffic.tooEarly > 0)
        #expect(traffic.wires.allSatisfy { $0.corrupted > 0 })
    }

    /// Half an hour in which connections are opened, and as long, and a little, in which they end.
    ///
    /// - Returns: what there was when it was busiest.
    private static func playHour(_ traffic: StackTraffic, _ random: inout SeededGenerator) -> [StackCensus] {
        let loop = traffic.loop
        let start = loop.now
        var busiest = traffic.census
        for change in 1...10 {
            traffic.meet(conditions(&random), corruption: 0.002)
            while loop.now < start + .minutes(3) * change {
                open(in: traffic, &random)
                loop.run(until: loop.now + .milliseconds(.random(in: 0...longestGap, using: &random)))
            }
            busiest = zip(busiest, traffic.census).map { $0.total > $1.total ? $0 : $1 }
        }
        // No outage any more: what goes on comes to its end, after 3 minutes of dialling and 24 of pauses at most.
        var conditions = conditions(&random)
        conditions.loss = 0.01
        traffic.meet(conditions, corruption: 0.002)
        loop.run(until: start + .minutes(58))
        traffic.giveUp()
        // One each way, closed in good order: a stack whose last connection was reset still wakes up for that one's timer.
        for dialler in 0...1 {
            traffic.openToListener((.init(length: 1), .init(length: 1, ending: .afterPeer)), from: dialler)
        }
        // A handshake that nobody answers takes three minutes, TIME-WAIT two.
        loop.run(until: start + .minutes(64))
        traffic.closeAccounts()
        return busiest
    }

    private static func open(in traffic: StackTraffic, _ random: inout SeededGenerator) {
        let isLong = random.happens(0.03)
        let isReadSlowly = random.happens(0.05)
        traffic.open(
            plans(&random, lengths: [1, 1_000, 5_000, isLong ? 2_000_000 : isReadSlowly ? 600_000 : 20_000]),
            readPause: isReadSlowly ? .milliseconds(.random(in: 1...1_000, using: &random)) : .zero)
    }
}
