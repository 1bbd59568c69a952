// Congestion avoidance that grows by a segment in a round trip (RFC 5681).

package import NIOCore

package struct NewReno: CongestionAvoidance {
    private var acknowledged = 0

    package init() {}

    /// Section 3.1: a segment for every window that is acknowledged.
    package mutating func growth(
        window: Int, acknowledged length: Int, segment: Int, roundTrip: TimeAmount, now: NIODeadline
    ) -> Int {
        acknowledged += length
        guard acknowledged >= window else { return 0 }
        acknowledged -= window
        if acknowledged > window { acknowledged = 0 }
        return segment
    }

    /// Section 3.1 equation 4.
    package mutating func threshold(window: Int, flight: Int, segment: Int) -> Int { min(window, flight) / 2 }

    package mutating func timedOut() {}
}

extension CongestionAvoidance where Self == NewReno {
    package static var newReno: NewReno { NewReno() }
}
