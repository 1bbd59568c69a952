// One direction of an impaired link, in virtual time: whether and when what is put on it arrives.

import NIOCore

/// Pure, and seeded: the same packets at the same times meet with the same.
struct SimulatedLink {
    struct Conditions {
        /// Bits per second.
        var rate = 20_000_000
        /// One way, beside what the queue and the rate cost.
        var delay = TimeAmount.milliseconds(10)
        /// The bytes that wait at most; what finds no room is dropped (drop tail).
        var queueLimit = 128 << 10
        /// The share of packets that get lost on the way, and how many do in a row; 1: each for itself.
        var loss = 0.0
        var meanLossBurst = 1.0
        /// The share of packets that are late by up to `reorderingDelay`.
        var reordering = 0.0
        var reorderingDelay = TimeAmount.zero
        /// The share of packets that arrive twice.
        var duplication = 0.0
        /// How long arrivals are gathered, as by a network card; what follows each other is then received as one.
        var gathering = TimeAmount.zero
    }

    /// When a packet arrives; nil: never.
    struct Arrivals {
        var first: NIODeadline?
        var duplicate: NIODeadline?
    }

    var conditions: Conditions
    private var random: SeededGenerator
    /// When all that waits has left.
    private var busyUntil = NIODeadline.uptimeNanoseconds(0)
    private var isLosing = false
    private(set) var packets = 0

    init(_ conditions: Conditions, seed: UInt64) {
        self.conditions = conditions
        random = SeededGenerator(state: seed)
    }

    mutating func send(length: Int, at now: NIODeadline) -> Arrivals {
        packets += 1
        let start = max(busyUntil, now)
        let waiting = Int((start - now).nanoseconds) / 1000 * conditions.rate / 8_000_000
        guard waiting + length <= conditions.queueLimit else { return Arrivals() }
        busyUntil = start + .nanoseconds(Int64(length * 8_000_000 / (conditions.rate / 1000)))
        guard !isLost() else { return Arrivals() }
        let isDuplicated = happens(conditions.duplication)
        return Arrivals(first: arrival(), duplicate: isDuplicated ? arrival() : nil)
    }

    private mutating func arrival() -> NIODeadline {
        var time = busyUntil + conditions.delay
        if happens(conditions.reordering) {
            let most = max(conditions.reorderingDelay.nanoseconds, 0)
            time = time + .nanoseconds(Int64.random(in: 0...most, using: &random))
        }
        let step = UInt64(clamping: conditions.gathering.nanoseconds)
        guard step > 0 else { return time }
        return .uptimeNanoseconds((time.uptimeNanoseconds + step - 1) / step * step)
    }

    /// Gilbert's model: a state in which all is lost, and one in which nothing is.
    private mutating func isLost() -> Bool {
        let loss = conditions.loss
        guard conditions.meanLossBurst > 1, loss < 1 else { return happens(loss) }
        isLosing =
            isLosing
            ? !happens(1 / conditions.meanLossBurst) : happens(loss / (1 - loss) / conditions.meanLossBurst)
        return isLosing
    }

    private mutating func happens(_ probability: Double) -> Bool {
        probability > 0 && random.happens(probability)
    }
}
