// Whether the congestion window says anything of the path as it is now, of a sender whose user does not always have something to
// send (RFC 7661).

import NIOCore

/// The window that such a sender has is kept, for a while, but does not leave in a burst: what is sent of it is spread over a
/// round trip until as much has been acknowledged.
struct CongestionWindowValidation {
    /// pipeACK: the most that was acknowledged in a round trip, of this sampling period and of the last; nil while undefined.
    private var samples: (current: Int, last: Int)?
    private var periodStart: NIODeadline
    /// When the nonvalidated phase began.
    private var nonvalidatedSince: NIODeadline?
    /// Until when the spreading of what was sent goes on.
    private var spreadUntil: NIODeadline

    init(now: NIODeadline) {
        periodStart = now
        spreadUntil = now
    }

    var isValidated: Bool { nonvalidatedSince == nil }

    /// Section 4.5: the sampling period, and the time for which an unused window is kept (section 4.4.3).
    private static func period(_ roundTrip: TimeAmount) -> TimeAmount { max(roundTrip * 3, .seconds(1)) }
    private static let validity = TimeAmount.minutes(5)

    /// A round trip is over, in which `count` bytes were in flight.
    mutating func roundEnded(_ count: Int, roundTrip: TimeAmount, now: NIODeadline) {
        nextPeriod(roundTrip, now: now)
        let (current, last) = samples ?? (0, 0)
        samples = (max(current, count), last)
    }

    /// Loss recovery is over: what was acknowledged in it tells nothing (section 4.2).
    mutating func recovered() {
        samples = nil
        nonvalidatedSince = nil
    }

    /// Nothing is in flight since `lastSentAt`: the samples that there are may be of long ago.
    mutating func resumed(since lastSentAt: NIODeadline, roundTrip: TimeAmount, now: NIODeadline) {
        if samples == nil, now - lastSentAt > Self.period(roundTrip) { samples = (0, 0) }
        nextPeriod(roundTrip, now: now)
    }

    private mutating func nextPeriod(_ roundTrip: TimeAmount, now: NIODeadline) {
        let period = Self.period(roundTrip)
        guard now - periodStart >= period else { return }
        samples = samples.map { (0, now - periodStart < period * 2 ? $0.current : 0) }
        periodStart = now
    }

    /// Section 4.3. A difference that may leave at once is none. Returns how often the window is to be halved: once for each
    /// five minutes in which it was not made use of (section 4.4.3).
    mutating func update(window: Int, burst: Int, unusedSince: NIODeadline, now: NIODeadline) -> Int {
        if let samples, 2 * max(samples.current, samples.last) + burst < window {
            let since = nonvalidatedSince ?? unusedSince
            let periods = (now - since).nanoseconds / Self.validity.nanoseconds
            nonvalidatedSince = since + Self.validity * periods
            return Int(periods)
        }
        nonvalidatedSince = nil
        return 0
    }

    // MARK: Spreading

    /// The bytes that may leave now (section 4.4.2): `burst` or what two milliseconds are worth at once, more as time goes by.
    func room(window: Int, burst: Int, roundTrip: TimeAmount, now: NIODeadline) -> Int {
        let rate = Double(window) / Double(max(roundTrip.nanoseconds, 1))
        let depth = max(Double(burst), rate * 2_000_000)
        return Int(max(depth - rate * Double(max((spreadUntil - now).nanoseconds, 0)), 0))
    }

    /// When half of what may leave at once may again.
    func nextRoom(window: Int, burst: Int, roundTrip: TimeAmount) -> NIODeadline {
        let wait = max(Double(burst) / Double(max(window, 1)) * Double(roundTrip.nanoseconds), 2_000_000) / 2
        return spreadUntil - .nanoseconds(Int64(wait))
    }

    mutating func sent(_ count: Int, window: Int, roundTrip: TimeAmount, now: NIODeadline) {
        let worth = Double(count) / Double(max(window, 1)) * Double(roundTrip.nanoseconds)
        spreadUntil = max(spreadUntil, now) + .nanoseconds(Int64(worth))
    }
}
