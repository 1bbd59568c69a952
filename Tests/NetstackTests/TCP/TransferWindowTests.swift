// How windows grow.

import Netstack
import Testing

@Suite struct TransferWindowTests {
    private let initial = TransferWindow.initial

    @Test func aShortRoundTripNeedsNoMore() {
        var window = TransferWindow(initial, roundTrip: .microseconds(500))
        var budget = 1 << 30
        for _ in 0..<100 { #expect(window.use(initial, budget: &budget) == 0) }
        #expect(window.limit == initial)
    }

    @Test func doublesWithUseUpToWhatTheRoundTripNeeds() {
        var window = TransferWindow(initial, roundTrip: .milliseconds(100))
        var budget = 1 << 30
        #expect(window.use(initial - 1, budget: &budget) == 0)
        #expect(window.use(1, budget: &budget) == initial)
        for _ in 0..<10 { _ = window.use(window.limit, budget: &budget) }
        #expect(window.limit == TransferWindow.maximum)
        #expect(window.excess == TransferWindow.maximum - initial)
        #expect(budget == 1 << 30 - window.excess)
    }

    @Test func aRoundTripInBetweenGetsAWindowInBetween() {
        var window = TransferWindow(initial, roundTrip: .milliseconds(4))
        var budget = 1 << 30
        for _ in 0..<10 { _ = window.use(window.limit, budget: &budget) }
        #expect(window.limit == 1_000_000)
    }

    @Test func theBudgetIsNotExceeded() {
        var window = TransferWindow(initial, roundTrip: .seconds(3600))
        var budget = 1000
        #expect(window.use(initial, budget: &budget) == 1000)
        #expect(window.use(1 << 20, budget: &budget) == 0)
        #expect(budget == 0)
    }

    @Test func whereThePeerDoesNotScaleItStays() {
        var window = TransferWindow(65535, roundTrip: nil)
        var budget = 1 << 30
        #expect(window.use(1 << 20, budget: &budget) == 0)
        #expect(window.excess == 0)
    }
}
