// Medians, percentiles, axes, and the lines that programs print.

import BenchmarkReport
import Testing

@Suite struct StatisticsTests {
    @Test func aMedianIsTheMiddle() {
        #expect(Summary([3, 1, 2])?.median == 2)
        #expect(Summary([4, 1, 2, 3])?.median == 2.5)
        #expect(Summary([])?.median == nil)
        #expect(Summary([3, 1, 2])?.minimum == 1)
        #expect(Summary([3, 1, 2])?.maximum == 3)
    }

    @Test func aPercentileIsAnElement() {
        let values = Array(1...100)
        #expect(values.percentile(0.5) == 50)
        #expect(values.percentile(0.99) == 99)
        #expect(values.percentile(0.999) == 100)
        #expect([Int]().percentile(0.5) == nil)
    }

    @Test func aLinearAxisBeginsAtZeroAndHoldsAll() {
        let axis = Axis(.linear, holding: [3, 17, 42])
        #expect(axis.ticks.first == 0)
        #expect(axis.ticks.last == 50)
        #expect(axis.position(25) == 0.5)
        #expect(axis.position(51) == nil)
    }

    @Test func aLogarithmicAxisGivesEachDecadeTheSameLength() throws {
        let axis = Axis(.logarithmic, holding: [1, 100])
        #expect(abs(try #require(axis.position(10)) - 0.5) < 1e-9)
    }

    @Test func aLineIsReadAsItIsPrinted() throws {
        let line = #"{"subject":"gvisor","workload":"bulk","metrics":{"gbps":4.5,"novel":1}}"#
        #expect(try Reading(output: line) == .metrics([.gigabitsPerSecond: 4.5]))
        let reason = #"{"subject":"c-loop","workload":"http","unsupported":"no HTTP"}"#
        #expect(try Reading(output: reason) == .unsupported("no HTTP"))
        #expect(throws: Fault.self) { try Reading(output: "Segmentation fault") }
        let cell = Cell(.stack, .latency)
        let reading = Reading.metrics([.p50: 7])
        #expect(try Reading(output: reading.output(for: cell)) == reading)
    }

    @Test func noCellIsMeasuredTwiceInARound() {
        #expect(Set(Plan.cells).count == Plan.cells.count)
        #expect(Plan.cells.count > 100)
    }

    @Test(arguments: [
        (Subject.stack, Subject.swiftStack), (.nioStack, .nioSwiftStack), (.tunnel, .swiftTunnel),
        (.tunnelTCP, .swiftTunnelTCP), (.tunnelUnix, .swiftTunnelUnix), (.tunnelLibP2P, .swiftTunnelLibP2P),
    ])
    func tablesHaveALineForEachTCP(_ lwIP: Subject, _ swift: Subject) {
        #expect(Plan.cells.contains { $0.subject == swift })
        for section in Plan.sections {
            #expect(section.subjects.contains(lwIP) == section.subjects.contains(swift), "\(section.title)")
        }
    }
}
