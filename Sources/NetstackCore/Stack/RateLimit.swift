// How often something may be done for whoever makes us do it.

package import NIOCore

/// A token bucket, whose level is told by a time (the generic cell rate algorithm).
package struct RateLimit {
    /// When the bucket would be full again.
    private var full = NIODeadline.uptimeNanoseconds(0)

    package init() {}

    /// - Returns: whether it may be done now. `burst` times at once it may, and once more after each `interval`.
    package mutating func allows(at now: NIODeadline, burst: Int, every interval: TimeAmount) -> Bool {
        let next = max(full, now) + interval
        guard next <= now + interval * burst else { return false }
        full = next
        return true
    }
}
