// The wheel against a list that is searched.

import SwiftStack
import Testing

struct TimerWheelTests {
    private final class Entry: TimerWheelEntry {
        var timer: TimerPlace?
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func whatIsDueIsTakenOutThenAndNoOther(_ seed: UInt64) {
        var random = SplitMix(state: seed)
        var wheel = TimerWheel<Entry>()
        var ticks: [ObjectIdentifier: (entry: Entry, tick: UInt64)] = [:]
        var now: UInt64 = 0
        for _ in 0..<2000 {
            switch random.next() % 4 {
            case 0, 1:
                let entry = Entry()
                // From the next tick to weeks away.
                let tick = now + 1 + random.next() % (1 << (random.next() % 30))
                wheel.insert(entry, at: tick)
                ticks[ObjectIdentifier(entry)] = (entry, tick)
            case 2:
                guard let (entry, _) = ticks.values.first else { continue }
                if random.next() % 2 == 0 {
                    wheel.remove(entry)
                    ticks[ObjectIdentifier(entry)] = nil
                } else {
                    let tick = now + 1 + random.next() % 1000
                    wheel.insert(entry, at: tick)
                    ticks[ObjectIdentifier(entry)] = (entry, tick)
                }
            default:
                let first = ticks.values.map(\.tick).min()
                #expect((wheel.next == nil) == (first == nil))
                if let next = wheel.next, let first { #expect(next > now && next <= first) }
                now += 1 + random.next() % (1 << (random.next() % 24))
                var due: [Entry] = []
                wheel.takeDue(until: now, into: &due)
                let expected = Set(ticks.filter { $0.value.tick <= now }.keys)
                #expect(Set(due.map(ObjectIdentifier.init)) == expected)
                #expect(due.allSatisfy { $0.timer == nil })
                for id in expected { ticks[id] = nil }
            }
        }
    }

    /// Weeks after the wheel was last looked at, what is a round ahead of it must not be taken for what is there now.
    @Test(arguments: [(1 << 30) - 12_345, (1 << 30) - 1, 1 << 30, 1 << 40] as [UInt64])
    func whatIsFarAheadOfTheWheelIsTakenOutOnce(_ distance: UInt64) {
        var wheel = TimerWheel<Entry>()
        var due: [Entry] = []
        wheel.takeDue(until: 12_345, into: &due)
        let entry = Entry()
        wheel.insert(entry, at: 12_345 + distance)
        #expect(wheel.next.map { $0 > 12_345 } == true)
        wheel.takeDue(until: 12_345 + distance, into: &due)
        #expect(due.count == 1)
        #expect(wheel.next == nil)
    }

    @Test func whatLiesThereAlreadyMoves() {
        var wheel = TimerWheel<Entry>()
        let entry = Entry()
        wheel.insert(entry, at: 1_000_000)
        wheel.insert(entry, at: 5)
        #expect(wheel.next == 5)
        var due: [Entry] = []
        wheel.takeDue(until: 2_000_000, into: &due)
        #expect(due.count == 1)
        #expect(wheel.next == nil)
    }

    private struct SplitMix {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var bits = state
            bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
            bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
            return bits ^ (bits >> 31)
        }
    }
}
