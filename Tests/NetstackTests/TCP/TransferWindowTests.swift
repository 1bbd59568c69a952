// How windows grow.

import Netstack
import Testing

@Suite struct TransferWindowTests {
    private let initial = TransferWindow.initial

    private let few = 1

    @Test func aShortRoundTripIsWorthLittleMore() {
        var window = TransferWindow(initial, roundTrip: .microseconds(500))
        var budget = TransferWindow.Budget(1 << 30)
        for _ in 0..<100 { _ = window.use(window.limit, of: &budget, among: few) }
        #expect(window.limit == TransferWindow.worthwhile)
        #expect(budget.rest == 1 << 30 - window.excess)
    }

    @Test func manyConnectionsShareHalfOfTheBudgetEvenly() {
        let (count, total) = (1000, 64 << 20)
        var windows = Array(repeating: TransferWindow(initial, roundTrip: .microseconds(500)), count: count)
        var budget = TransferWindow.Budget(total)
        for _ in 0..<10 {
            for index in windows.indices { _ = windows[index].use(windows[index].limit, of: &budget, among: count) }
        }
        #expect(Set(windows.map(\.limit)) == [initial + total / 2 / count])
        #expect(budget.rest >= total / 2)
    }

    @Test func doublesWithUseUpToWhatTheRoundTripNeeds() {
        var window = TransferWindow(initial, roundTrip: .milliseconds(100))
        var budget = TransferWindow.Budget(1 << 30)
        #expect(window.use(initial - 1, of: &budget, among: few) == 0)
        #expect(window.use(1, of: &budget, among: few) == initial)
        for _ in 0..<10 { _ = window.use(window.limit, of: &budget, among: few) }
        #expect(window.limit == TransferWindow.maximum)
        #expect(window.excess == TransferWindow.maximum - initial)
        #expect(budget.rest == 1 << 30 - window.excess)
    }

    @Test func aRoundTripInBetweenGetsAWindowInBetween() {
        var window = TransferWindow(initial, roundTrip: .milliseconds(8))
        var budget = TransferWindow.Budget(1 << 30)
        for _ in 0..<10 { _ = window.use(window.limit, of: &budget, among: few) }
        #expect(window.limit == 2_000_000)
    }

    @Test func theBudgetIsNotExceeded() {
        var window = TransferWindow(initial, roundTrip: .seconds(3600))
        var budget = TransferWindow.Budget(1000)
        #expect(window.use(initial, of: &budget, among: few) == 1000)
        #expect(window.use(1 << 20, of: &budget, among: few) == 0)
        #expect(budget.rest == 0)
    }

    @Test(arguments: [0, -1, Int.max]) func anyBudgetWillDo(_ total: Int) {
        var window = TransferWindow(initial, roundTrip: .seconds(1))
        var budget = TransferWindow.Budget(total)
        for _ in 0..<10 { #expect(window.use(window.limit, of: &budget, among: 0) >= 0) }
        #expect(window.limit == (total > 0 ? TransferWindow.maximum : initial))
    }

    @Test func whereThePeerDoesNotScaleItStays() {
        var window = TransferWindow(65535, roundTrip: nil)
        var budget = TransferWindow.Budget(1 << 30)
        #expect(window.use(1 << 20, of: &budget, among: few) == 0)
        #expect(window.excess == 0)
    }
}
