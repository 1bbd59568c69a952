// How often something may be done.

import NIOCore
import Netstack
import Testing

@Suite struct RateLimitTests {
    private func allowed(_ limit: inout RateLimit, of count: Int, at seconds: Int64) -> Int {
        let now = NIODeadline.uptimeNanoseconds(0) + .seconds(seconds)
        return (0..<count).count { _ in limit.allows(at: now, burst: 3, every: .seconds(2)) }
    }

    @Test func aBurstIsAllowedAndThenOneAfterEachInterval() {
        var limit = RateLimit()
        #expect(allowed(&limit, of: 10, at: 0) == 3)
        #expect(allowed(&limit, of: 10, at: 1) == 0)
        #expect(allowed(&limit, of: 10, at: 2) == 1)
        #expect(allowed(&limit, of: 10, at: 7) == 2)
    }

    @Test func aLongRestAllowsNoMoreThanABurst() {
        var limit = RateLimit()
        #expect(allowed(&limit, of: 10, at: 0) == 3)
        #expect(allowed(&limit, of: 10, at: 1 << 30) == 3)
    }
}
