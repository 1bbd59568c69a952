// The loss grid: one flow over every combination of loss, round trip and reordering, against a table of what it got.

import Foundation
import NIOCore
import SwiftStack
import Testing

@Suite struct LossGridTests {
    /// One combination, and how the flow fared.
    struct Cell: Sendable {
        let loss: Double
        let roundTrip: Int64
        let isReordering: Bool
        /// Of the data that arrived, in Mbit/s, and of what the link could have carried.
        var goodput = 0.0
        var utilization = 0.0
        /// In per cent of what was sent.
        var retransmitted = 0.0
        var dropped = 0.0
        var timeouts = 0
        var problems: [String] = []

        static let all = [0, 0.001, 0.01, 0.02, 0.05, 0.1].flatMap { loss in
            [Int64(0), 20, 100, 300].flatMap { roundTrip in
                [false, true].map { Cell(loss: loss, roundTrip: roundTrip, isReordering: $0) }
            }
        }

        /// In Mbit/s.
        static let rate = 10
        /// What a packet of 1500 bytes has for data, with timestamps.
        static let segmentLength = 1448

        /// In seconds, an hour of this link in all: longer where a round trip is, or where few packets come of it.
        var duration: Int64 {
            let seconds: Int64 =
                switch roundTrip {
                case 0: 10
                case 20: 20
                case 100: 40
                default: 60
                }
            return loss > 0.01 && roundTrip > 0 ? 4 * seconds : seconds
        }

        var conditions: SimulatedLink.Conditions {
            var conditions = SimulatedLink.Conditions()
            conditions.rate = Self.rate * 1_000_000
            conditions.delay = .milliseconds(roundTrip / 2)
            // What the path holds, at least a hundred packets.
            conditions.queueLimit = max(Self.rate * 125 * Int(roundTrip), 150_000)
            conditions.loss = loss
            if isReordering {
                conditions.reordering = 0.02
                conditions.reorderingDelay = .milliseconds(max(roundTrip / 4, 2))
            }
            return conditions
        }

        /// What Reno gets, in Mbit/s: loss and time-outs limit it (Padhye, Firoiu, Towsley and Kurose, equation 33), or
        /// the link does.
        var renoGoodput: Double {
            let capacity = Double(Self.rate) * Double(Self.segmentLength) / 1500 * (1 - loss)
            guard loss > 0 else { return capacity }
            let seconds = Double(roundTrip) / 1000
            let recovery = seconds * (2 * loss / 3).squareRoot()
            let timeouts = (seconds + 0.2) * min(1, 3 * (3 * loss / 8).squareRoot()) * loss * (1 + 32 * loss * loss)
            return min(Double(Self.segmentLength) * 8 / (recovery + timeouts) / 1_000_000, capacity)
        }

        mutating func run() {
            let network = SimulatedNetwork(conditions, seed: UInt64(loss * 1000) << 16 | UInt64(roundTrip))
            let flow = network.open(.bulk)
            network.run(until: network.now + .seconds(duration))
            goodput = Double(flow.passive.readLength) * 8 / Double(duration) / 1_000_000
            utilization = goodput / Double(Self.rate) * 1500 / Double(Self.segmentLength)
            let sent = Double(max(flow.active.sentLength, 1))
            retransmitted = Double(flow.active.retransmittedLength) * 100 / sent
            dropped = Double(flow.active.droppedLength) * 100 / sent
            timeouts = flow.active.timeouts
            problems = network.problems
        }

        static let heading = "loss %   RTT ms  reorder  Mbit/s  of link  of Reno  sent again %  dropped %  time-outs"

        var description: String {
            String(
                format: "%6.1f %8lld %8@ %7.2f %8.3f %8.2f %13.2f %10.2f %10lld", loss * 100, roundTrip,
                isReordering ? "yes" : "no", goodput, utilization, goodput / renoGoodput, retransmitted, dropped,
                Int64(timeouts))
        }
    }

    @Test func everyCellIsAsGoodAsItWas() async throws {
        let cells = await withTaskGroup(of: (Int, Cell).self) { group in
            for (index, cell) in Cell.all.enumerated() {
                group.addTask {
                    var cell = cell
                    cell.run()
                    return (index, cell)
                }
            }
            return await group.reduce(into: Cell.all) { cells, result in cells[result.0] = result.1 }
        }
        for cell in cells { check(cell) }
        // More loss is never better, but for chance.
        for (cell, worse) in zip(cells, cells.dropFirst(8)) {
            #expect(worse.goodput <= 1.1 * cell.goodput, "\(worse.description)")
        }
        try compare(cells)
    }

    /// 3.75 MB are on the way here.
    @Test func aLongFatPathIsFilled() {
        var conditions = SimulatedLink.Conditions()
        conditions.rate = 100_000_000
        conditions.delay = .milliseconds(150)
        conditions.queueLimit = 4 << 20
        let network = SimulatedNetwork(conditions, seed: 1)
        let flow = network.open(.bulk)
        network.run(until: network.now + .seconds(5))
        let before = flow.passive.readLength
        network.run(until: network.now + .seconds(6))
        let goodput = Double(flow.passive.readLength - before) * 8 / 6
        #expect(goodput >= 0.9 * 100_000_000 * 1448 / 1500)
        #expect(network.problems.isEmpty)
    }

    /// What holds whatever the table says.
    private func check(_ cell: Cell) {
        let name = Comment(rawValue: cell.description)
        #expect(cell.problems.isEmpty, name)
        #expect(cell.goodput >= (cell.loss == 0 ? 0.9 : 0.8) * cell.renoGoodput, name)
        // What is sent again was lost, all but a little: that of late packets, and of lost acknowledgments.
        #expect(cell.retransmitted <= cell.dropped + 0.5 + 10 * cell.loss, name)
    }

    /// The same seed gives the same numbers: whoever changes them looks at them, and runs this with `REWRITE_LOSS_GRID=1`.
    private func compare(_ cells: [Cell]) throws {
        let table = ([Cell.heading] + cells.map(\.description)).joined(separator: "\n") + "\n"
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "LossGrid.txt")
        if ProcessInfo.processInfo.environment["REWRITE_LOSS_GRID"] != nil {
            try table.write(to: file, atomically: true, encoding: .utf8)
        } else {
            let expected = try String(contentsOf: file, encoding: .utf8)
            #expect(table == expected)
        }
    }
}
