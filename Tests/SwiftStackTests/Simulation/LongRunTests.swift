// A day of virtual time over a bad link, with connections that come and go: every byte right, everything given back.

import Glibc
import NIOCore
import SwiftStack
import Testing

@Suite struct LongRunTests {
    /// An hour where nothing is optimized: the day takes minutes there.
    private static var duration: TimeAmount {
        #if DEBUG
            .hours(1)
        #else
            .hours(24)
        #endif
    }

    @Test func connectionsComeAndGo() {
        var random = SeededGenerator(state: 24)
        let network = SimulatedNetwork(Self.conditions(&random), seed: 24)
        let start = network.now
        var census = Census()
        var liveAtFirst = 0
        var memoryAtFirst = 0
        var mostLive = 0
        var nextChange = start
        let warmUp = start + .nanoseconds(Self.duration.nanoseconds / 12)
        while network.now < start + Self.duration {
            if network.now >= nextChange {
                // The path changes: what was sent last may be overtaken by what is sent now.
                let conditions = Self.conditions(&random)
                for index in network.links.indices { network.links[index].conditions = conditions }
                nextChange = network.now + .minutes(3)
            }
            let plans = Self.plans(&random)
            census.pairs.append(
                network.open(plans.active, plans.passive, configuration: Self.configuration(&random)))
            network.run(until: network.now + .milliseconds(.random(in: 0...20_000, using: &random)))
            census.closeAccounts()
            mostLive = max(mostLive, network.connections.count)
            if liveAtFirst == 0, network.now >= warmUp {
                liveAtFirst = network.connections.count
                memoryAtFirst = Self.residentMemory
            }
        }
        // As many as at the beginning, and what they hold.
        #expect(mostLive <= 3 * liveAtFirst + 20)
        #expect(Self.residentMemory - memoryAtFirst < 32 << 20)

        // Nothing new any more: all of it ends, by itself.
        network.run(until: network.now + .hours(4))
        census.closeAccounts()
        #expect(network.problems.isEmpty)
        #expect(census.problems.isEmpty, "\(census.problems.prefix(5))")
        #expect(network.connections.isEmpty)
        #expect(network.isAtRest)
        #expect(census.pairs.isEmpty)
        // Where nobody resets, all that was written arrives; and that is most of them.
        #expect(census.complete * 2 > census.finished)
    }

    /// Connections that are not over, and how those that are have ended.
    private struct Census {
        var pairs: [(active: SimulatedEndpoint, passive: SimulatedEndpoint)] = []
        var finished = 0
        var complete = 0
        var problems: [String] = []

        mutating func closeAccounts() {
            for pair in pairs where pair.active.isClosed && (pair.passive.isClosed || pair.passive.machine == nil) {
                finished += 1
                for (endpoint, other) in [(pair.active, pair.passive), (pair.passive, pair.active)] {
                    check(endpoint, against: other)
                }
            }
            pairs.removeAll { $0.active.isClosed && ($0.passive.isClosed || $0.passive.machine == nil) }
        }

        private mutating func check(_ endpoint: SimulatedEndpoint, against other: SimulatedEndpoint) {
            if endpoint.machine?.nextDeadline != nil {
                problems.append("connection \(endpoint.connection), side \(endpoint.side): a timer is left")
            }
            if endpoint.readLength > other.writtenLength {
                problems.append("connection \(endpoint.connection), side \(endpoint.side): more than was written")
            }
            guard endpoint.sawEnd, other.plan.ending != .abort, other.machine?.failure == nil else { return }
            if endpoint.readLength == other.plan.length {
                complete += 1
            } else {
                problems.append(
                    "connection \(endpoint.connection), side \(endpoint.side): "
                        + "an end after \(endpoint.readLength) of \(other.plan.length)")
            }
        }
    }

    // MARK: What varies

    static func conditions(_ random: inout SeededGenerator) -> SimulatedLink.Conditions {
        var conditions = SimulatedLink.Conditions()
        conditions.rate = [2_000_000, 20_000_000, 200_000_000].randomElement(using: &random) ?? 0
        conditions.delay = .milliseconds(.random(in: 1...150, using: &random))
        // Now and then nothing gets through for a while.
        conditions.loss = random.happens(0.03) ? 1 : 0.01
        conditions.meanLossBurst = random.happens(0.3) ? 3 : 1
        conditions.reordering = 0.02
        conditions.reorderingDelay = .milliseconds(.random(in: 1...30, using: &random))
        conditions.duplication = 0.005
        conditions.gathering = random.happens(0.5) ? .microseconds(500) : .zero
        return conditions
    }

    private static func configuration(_ random: inout SeededGenerator) -> TCPConfiguration {
        var configuration = TCPConfiguration()
        // A reset may get lost: who waits for more must find out.
        configuration.keepsAlive = true
        configuration.keepAliveIdle = .minutes(5)
        configuration.congestionControl = random.happens(0.8) ? .cubic : .newReno
        configuration.offersTimestamps = random.happens(0.8)
        configuration.offersSelectiveAcknowledgment = random.happens(0.9)
        configuration.sendsAtOnce = random.happens(0.8)
        return configuration
    }

    /// Transfers of all lengths, conversations with pauses, idle ones, and all ways to end.
    static func plans(
        _ random: inout SeededGenerator, lengths: [Int] = [1, 1_000, 20_000, 200_000, 1_000_000]
    ) -> (active: SimulatedEndpoint.Plan, passive: SimulatedEndpoint.Plan) {
        var active = SimulatedEndpoint.Plan()
        var passive = SimulatedEndpoint.Plan(ending: .afterPeer)
        active.length = length(&random, upTo: lengths)
        passive.length = length(&random, upTo: lengths)
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<4: break
        case 4:
            active.ending = .close
            passive.ending = .halfClose
        case 5:
            // While there is something in flight.
            active.ending = .abort
            active.portion = max(active.length / 2, 1)
            active.pause = .milliseconds(.random(in: 1...1_000, using: &random))
        case 6:
            passive.ending = .abort
            passive.portion = max(passive.length / 2, 1)
            passive.pause = .milliseconds(.random(in: 1...1_000, using: &random))
        case 7:
            active.portion = 700
            active.length = 20_000
            active.pause = .milliseconds(.random(in: 1...2_000, using: &random))
        case 8:
            passive.portion = 40_000
            passive.length = 200_000
            passive.pause = .seconds(.random(in: 1...30, using: &random))
        default:
            // Idle for longer than keep-alive waits.
            active.portion = 5_000
            active.length = 15_000
            active.pause = .minutes(12)
        }
        return (active, passive)
    }

    private static func length(_ random: inout SeededGenerator, upTo lengths: [Int]) -> Int {
        let most = lengths.randomElement(using: &random) ?? 0
        return .random(in: 0...most, using: &random)
    }

    /// In bytes; the second number of /proc/self/statm, in pages.
    static var residentMemory: Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
    }
}
