// A connection between two stacks, as both of its users see it, and whether it has gone as it must.

import NIOCore
import NetstackCore

final class SimulatedConversation {
    /// What meets the dialler.
    enum Answer: Equatable {
        /// A listener, or someone who accepts for every address, after a while.
        case listens
        case accepts(after: TimeAmount)
        case refuses, rejects, drops
    }

    /// Which stack dials, from where and whereto: a successor may have the same.
    struct Path {
        var dialler: Int
        var source: TransportAddress
        var destination: TransportAddress
        var answer: Answer
    }

    let path: Path
    let dialler: SimulatedUser
    let answerer: SimulatedUser
    /// Whether nothing got through for a while of its time: a handshake may have failed by that.
    var hadOutage: Bool

    init(_ path: Path, dialler: SimulatedUser, answerer: SimulatedUser, hadOutage: Bool) {
        self.path = path
        self.dialler = dialler
        self.answerer = answerer
        self.hadOutage = hadOutage
    }

    /// Whether it is over on both sides.
    var isOver: Bool { dialler.isOver && answerer.isOver }

    /// Whether all has arrived, in both directions.
    var isComplete: Bool {
        [(dialler, answerer), (answerer, dialler)].allSatisfy { $0.sawEnd && $0.readLength == $1.plan.length }
    }

    /// Ends what would stay.
    ///
    /// - Returns: whether something may have stayed: where a reset was lost, its receiver has nothing to find that out by.
    func giveUp() -> Bool {
        let left = [dialler, answerer].filter { $0.wasOpened && !$0.isOver }
        let mayStay = dialler.isOver && dialler.breaksOff || answerer.isOver && answerer.breaksOff || isHalfOpen
        for user in left { user.giveUp() }
        return left.isEmpty || mayStay
    }

    /// The last of the handshake may be lost, and then the answerer's patience with it.
    private var isHalfOpen: Bool { hadOutage && !answerer.wasOpened }

    // MARK: What must be

    /// What went wrong, once nothing more will come.
    var problems: [String] {
        let name = "connection \(dialler.connection), \(path)"
        return (outcomeProblems + contentProblems).map { "\(name): \($0)" }
    }

    private var contentProblems: [String] {
        var problems: [String] = []
        for (user, other) in [(dialler, answerer), (answerer, dialler)] {
            if user.hasWrongBytes { problems.append("side \(user.side): wrong bytes") }
            if user.readLength > other.writtenLength { problems.append("side \(user.side): more than was written") }
            if user.sawEnd, user.readLength != other.plan.length || other.plan.ending == .abort {
                problems.append("side \(user.side): an end after \(user.readLength) of \(other.plan.length)")
            }
        }
        return problems
    }

    private var outcomeProblems: [String] {
        guard dialler.wasOpened else {
            if answerer.wasOpened { return ["open on one side only"] }
            return mayDialFail(with: dialler.failure) ? [] : ["dialling ended with \(Self.text(dialler.failure))"]
        }
        guard answerer.wasOpened else { return dialler.breaksOff || isHalfOpen ? [] : ["open on one side only"] }
        return [(dialler, answerer), (answerer, dialler)].compactMap { user, other in
            if !user.isOver { return "side \(user.side): not over" }
            if mayEnd(user, other, with: user.failure) { return nil }
            return "side \(user.side): ended with \(Self.text(user.failure))"
        }
    }

    private func mayDialFail(with failure: NetstackError?) -> Bool {
        if hadOutage, failure == .timedOut(path.destination) { return true }
        // A wrong bit can take all of a Hop Limit, which no checksum of IPv6 covers, from a SYN to an address that is routed.
        if path.destination.address.version == .v6, path.answer != .listens,
            failure == .unreachable(path.destination, .hopLimit)
        {
            return true
        }
        return switch path.answer {
        case .listens, .accepts: false
        case .refuses: failure == .refused(path.destination)
        case .rejects: failure == .prohibited(path.destination)
        case .drops: failure == .timedOut(path.destination)
        }
    }

    private func mayEnd(_ user: SimulatedUser, _ other: SimulatedUser, with failure: NetstackError?) -> Bool {
        switch failure {
        case nil: user.sawEnd
        case .closed: user.breaksOff
        case .connectionReset: other.breaksOff
        default: false
        }
    }

    private static func text(_ failure: NetstackError?) -> String { failure.map { "\($0)" } ?? "nothing" }
}
