// A bound on flows, and which of them gives way to a new one where it is reached.

import DequeModule
import NIOCore
import Netstack

/// A flow that gives way to newer ones until something has answered it.
protocol UnansweredFlow: ExitFlow {
    var isUnanswered: Bool { get }
    /// Ends it without an answer. Who is still there sends again.
    func giveWay()
}

/// Counts flows against a ``Bound``. Where it is reached, the one that has been unanswered for longest gives way, as in the
/// connection tracking of Linux (its early drop): what nobody answers keeps nobody out until its time-out.
struct FlowQuota {
    /// How long a flow keeps its place, answered or not: its destination may be far, and a flood does not become one of
    /// sockets. Diallers send their SYN again after as long (RFC 6298 section 2.1).
    private static let patience = TimeAmount.seconds(1)

    private var quota: SourceQuota
    private var line = Line()
    private var lines: [IPAddress: Line] = [:]

    init(_ bound: Bound) { quota = SourceQuota(bound) }

    var total: Int { quota.total }

    func hasRoom(for source: IPAddress) -> Bool { quota.hasRoom(for: source) }

    mutating func take(_ source: IPAddress) -> Bool { quota.take(source) }

    mutating func remove(_ source: IPAddress) {
        quota.remove(source)
        if quota.count(of: source) == 0 { lines[source] = nil }
        // Flows hold their exit, which holds this.
        if quota.total == 0 { line = Line() }
    }

    /// A flow that has been counted, and from now on waits for an answer.
    mutating func append(_ flow: any UnansweredFlow, now: NIODeadline) {
        let source = flow.dial.source.address
        line.append(flow, now, of: quota.total)
        lines[source, default: Line()].append(flow, now, of: quota.count(of: source))
    }

    /// Who gives way to a flow of a source: one of its own where its share is used up, else one of all.
    mutating func popUnanswered(for source: IPAddress, now: NIODeadline) -> (any UnansweredFlow)? {
        let deadline = now - Self.patience
        return quota.count(of: source) < quota.bound.perSource
            ? line.popFirst(before: deadline) : lines[source]?.popFirst(before: deadline)
    }

    /// Flows in the order in which they began to wait. Those that have been answered or have ended are passed over, and now
    /// and then removed: often enough that there are never more than twice as many as flows.
    private struct Line {
        private var flows = Deque<(flow: any UnansweredFlow, since: NIODeadline)>()

        mutating func append(_ flow: any UnansweredFlow, _ now: NIODeadline, of count: Int) {
            if flows.count > 2 * count { flows.removeAll { !$0.flow.isUnanswered } }
            flows.append((flow, now))
        }

        mutating func popFirst(before deadline: NIODeadline) -> (any UnansweredFlow)? {
            while let (flow, since) = flows.first {
                if flow.isUnanswered, since > deadline { return nil }
                flows.removeFirst()
                if flow.isUnanswered { return flow }
            }
            return nil
        }
    }
}
