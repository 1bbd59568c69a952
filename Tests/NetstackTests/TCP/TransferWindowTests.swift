// How windows grow.

import Netstack
import NetstackCore
import Testing

@Suite struct TransferWindowTests {
    private let initial = StackCore.initialWindow

    @Test func aShortRoundTripIsWorthLittleMore() {
        var window = TransferWindow(initial, roundTrip: .microseconds(500))
        var budget = 1 << 30
        for _ in 0..<100 { _ = window.use(window.limit, budget: &budget, worthwhile: 1 << 20) }
        #expect(window.limit == 1 << 20)
        #expect(budget == 1 << 30 - window.excess)
    }

    @Test func doublesWithUseUpToWhatTheRoundTripNeeds() {
        var window = TransferWindow(initial, roundTrip: .milliseconds(100))
        var budget = 1 << 30
        #expect(window.use(initial - 1, budget: &budget, worthwhile: initial) == 0)
        #expect(window.use(1, budget: &budget, worthwhile: initial) == initial)
        for _ in 0..<10 { _ = window.use(window.limit, budget: &budget, worthwhile: initial) }
        #expect(window.limit == TransferWindow.maximum)
        #expect(window.excess == TransferWindow.maximum - initial)
        #expect(budget == 1 << 30 - window.excess)
    }

    @Test func aRoundTripInBetweenGetsAWindowInBetween() {
        var window = TransferWindow(initial, roundTrip: .milliseconds(4))
        var budget = 1 << 30
        for _ in 0..<10 { _ = window.use(window.limit, budget: &budget, worthwhile: initial) }
        #expect(window.limit == 1_000_000)
    }

    @Test(arguments: [1000, 0]) func theBudgetIsNotExceeded(_ total: Int) {
        var window = TransferWindow(initial, roundTrip: .seconds(3600))
        var budget = total
        #expect(window.use(initial, budget: &budget, worthwhile: 1 << 20) == total)
        #expect(window.use(1 << 20, budget: &budget, worthwhile: 1 << 20) == 0)
        #expect(budget == 0)
    }

    @Test func whereThePeerDoesNotScaleItStays() {
        var window = TransferWindow(65535, roundTrip: nil)
        var budget = 1 << 30
        #expect(window.use(1 << 20, budget: &budget, worthwhile: 1 << 20) == 0)
        #expect(window.excess == 0)
    }
}

extension TransferWindow {
    fileprivate mutating func use(_ count: Int, budget: inout Int, worthwhile: Int) -> Int {
        use(count) ? grow(budget: &budget, worthwhile: worthwhile) : 0
    }
}
