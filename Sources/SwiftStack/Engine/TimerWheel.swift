// The deadlines of very many connections, each set, moved and found at a cost that does not grow with their number.

/// What can lie on a wheel, once.
package protocol TimerWheelEntry: AnyObject {
    /// Kept for the wheel; nil while it does not lie there.
    var timer: TimerPlace? { get set }
}

/// Where an entry lies.
package struct TimerPlace {
    fileprivate var slot: Int
    fileprivate var index: Int
    /// When it is due.
    package fileprivate(set) var tick: UInt64
}

/// A hierarchical timing wheel (Varghese and Lauck, 1987): 64 slots of one tick, 64 of 64 ticks, and so on. What is due far
/// from now lies in a coarse slot, and moves to finer ones as time goes by.
package struct TimerWheel<Entry: TimerWheelEntry> {
    /// 64^5 ticks: of a millisecond, twelve days.
    private static var levels: Int { 5 }
    private static var slotBits: UInt64 { 6 }

    /// By level, and within it by place on the wheel.
    private var slots = [[Entry]](repeating: [], count: levels << Int(slotBits))
    /// For each level, which slots have entries.
    private var occupied = [UInt64](repeating: 0, count: levels)
    /// The tick that everything before has been taken out for.
    private var elapsed: UInt64 = 0

    package init() {}

    /// Sees to it that an entry is taken out at `tick`, or soon if that has passed.
    package mutating func insert(_ entry: Entry, at tick: UInt64) {
        remove(entry)
        // A whole round ahead would lie where the coarsest wheel is now.
        let tick = min(max(tick, elapsed + 1), elapsed + 63 << (Self.slotBits * UInt64(Self.levels - 1)))
        // The level of the highest digit that is not what it is now.
        let difference = (elapsed ^ tick) | (1 << Self.slotBits - 1)
        let level = min((63 - difference.leadingZeroBitCount) / Int(Self.slotBits), Self.levels - 1)
        let position = Int(tick >> (Self.slotBits * UInt64(level)) & 63)
        let slot = level << Int(Self.slotBits) | position
        entry.timer = TimerPlace(slot: slot, index: slots[slot].count, tick: tick)
        slots[slot].append(entry)
        occupied[level] |= 1 << UInt64(position)
    }

    package mutating func remove(_ entry: Entry) {
        guard let place = entry.timer else { return }
        entry.timer = nil
        let last = slots[place.slot].removeLast()
        if place.index < slots[place.slot].count {
            slots[place.slot][place.index] = last
            last.timer?.index = place.index
        }
        if slots[place.slot].isEmpty {
            occupied[place.slot >> Int(Self.slotBits)] &= ~(1 << UInt64(place.slot & 63))
        }
    }

    /// No later than the tick at which the first entry is due: where that lies in a coarse slot, when it has to move.
    package var next: UInt64? { nextSlot()?.tick }

    /// Takes out what is due until `tick`.
    package mutating func takeDue(until tick: UInt64, into due: inout [Entry]) {
        while let (slot, start) = nextSlot(), start <= tick {
            elapsed = max(elapsed, start)
            let entries = slots[slot]
            slots[slot].removeAll(keepingCapacity: true)
            occupied[slot >> Int(Self.slotBits)] &= ~(1 << UInt64(slot & 63))
            for entry in entries {
                let tick = entry.timer?.tick ?? 0
                entry.timer = nil
                if tick <= elapsed { due.append(entry) } else { insert(entry, at: tick) }
            }
        }
        elapsed = max(elapsed, tick)
    }

    /// The slot with the first entries, and the tick that it begins with.
    private func nextSlot() -> (slot: Int, tick: UInt64)? {
        for level in 0..<Self.levels where occupied[level] != 0 {
            let shift = Self.slotBits * UInt64(level)
            let now = Int(elapsed >> shift & 63)
            // The first that is occupied, counted from now on.
            let rotated = occupied[level] >> UInt64(now) | (now == 0 ? 0 : occupied[level] << UInt64(64 - now))
            let position = (rotated.trailingZeroBitCount + now) & 63
            let round = elapsed >> (shift + Self.slotBits) + (position < now ? 1 : 0)
            return (level << Int(Self.slotBits) | position, (round << Self.slotBits | UInt64(position)) << shift)
        }
        return nil
    }
}
