// What algorithms of congestion control differ in. All else is `CongestionController`'s.

package import NIOCore

/// How the window grows once slow start is over, and what congestion costs. Windows are in bytes.
package protocol CongestionAvoidance: Sendable {
    /// By how much the window grows for `length` bytes that were acknowledged, while it was made use of.
    mutating func growth(
        window: Int, acknowledged length: Int, segment: Int, roundTrip: TimeAmount, now: NIODeadline
    ) -> Int

    /// ssthresh after congestion with `flight` bytes in the network.
    mutating func threshold(window: Int, flight: Int, segment: Int) -> Int

    /// The retransmission timer has expired.
    mutating func timedOut()
}
