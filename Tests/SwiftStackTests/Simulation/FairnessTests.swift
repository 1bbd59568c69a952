// Several flows over one bottleneck share it, whenever they began and whichever algorithm they have.

import NIOCore
import SwiftStack
import Testing

@Suite struct FairnessTests {
    /// 20 ms, and a queue of what the path holds.
    private static func bottleneck(rate: Int) -> SimulatedLink.Conditions {
        var conditions = SimulatedLink.Conditions()
        conditions.rate = rate * 1_000_000
        conditions.delay = .milliseconds(10)
        conditions.queueLimit = rate * 1_000_000 / 8 / 50
        return conditions
    }

    /// How long the shares are looked at; not as long where nothing is optimized.
    private static var seconds: Int64 {
        #if DEBUG
            20
        #else
            60
        #endif
    }

    /// Runs flows that begin one after the other. Returns what each got once they had settled, in Mbit/s.
    private func goodputs(
        rate: Int, _ algorithms: [Algorithm], startingEvery pause: TimeAmount
    ) -> [Double] {
        let network = SimulatedNetwork(Self.bottleneck(rate: rate), seed: UInt64(algorithms.count))
        let flows = algorithms.map { algorithm in
            var configuration = TCPConfiguration()
            configuration.congestionControl = algorithm == .cubic ? .cubic : .newReno
            let flow = network.open(.bulk, configuration: configuration)
            network.run(until: network.now + pause)
            return flow
        }
        network.run(until: network.now + .seconds(20))
        let before = flows.map(\.passive.readLength)
        network.run(until: network.now + .seconds(Self.seconds))
        #expect(network.problems.isEmpty)
        return zip(flows, before).map { Double($0.passive.readLength - $1) * 8 / Double(Self.seconds) / 1_000_000 }
    }

    /// 1 where all have the same, 1/n where one has all (Jain, Chiu and Hawe).
    private func fairness(_ shares: [Double]) -> Double {
        let sum = shares.reduce(0, +)
        return sum * sum / (Double(shares.count) * shares.reduce(0) { $0 + $1 * $1 })
    }

    /// Of what the link carries, headers subtracted.
    private func utilization(_ shares: [Double], rate: Int) -> Double {
        shares.reduce(0, +) / (Double(rate) * 1448 / 1500)
    }

    typealias Algorithm = SwiftTCPSettings.CongestionControl

    @Test(arguments: [Algorithm.cubic, .newReno], [TimeAmount.milliseconds(10), .seconds(10)])
    func twoFlowsShare(algorithm: Algorithm, pause: TimeAmount) {
        let shares = goodputs(rate: 10, [algorithm, algorithm], startingEvery: pause)
        #expect(fairness(shares) >= 0.95, "\(shares)")
        #expect(utilization(shares, rate: 10) >= 0.9, "\(shares)")
    }

    @Test(arguments: [TimeAmount.milliseconds(10), .seconds(1)])
    func sixteenFlowsShare(pause: TimeAmount) {
        let shares = goodputs(
            rate: 20, Array(repeating: .cubic, count: 16), startingEvery: pause)
        #expect(fairness(shares) >= 0.9, "\(shares)")
        #expect(utilization(shares, rate: 20) >= 0.9, "\(shares)")
    }

    /// The windows are some 30 segments here: in the region where CUBIC is as NewReno (RFC 9438 section 4.3).
    @Test(arguments: [false, true])
    func cubicLeavesNewRenoItsShare(isNewRenoFirst: Bool) {
        let shares = goodputs(
            rate: 10, isNewRenoFirst ? [.newReno, .cubic] : [.cubic, .newReno], startingEvery: .seconds(5))
        #expect(fairness(shares) >= 0.9, "\(shares)")
        #expect(utilization(shares, rate: 10) >= 0.9, "\(shares)")
    }
}
