// A bound on flows, and which of them gives way to a new one where it is reached.

import DequeModule
import Netstack

/// A flow that gives way to newer ones until something has answered it.
protocol UnansweredFlow: ExitFlow {
    var isUnanswered: Bool { get }
    /// Ends it without an answer. Who is still there sends again.
    func giveWay()
}

/// Counts flows against a ``Bound``. The first that is unanswered gives way, as in the connection tracking of Linux (its
/// early drop): so a flood of what nobody answers keeps nobody out for longer than the flood.
struct FlowQuota {
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

    /// A flow that has been counted, and nothing has answered yet.
    mutating func append(_ flow: any UnansweredFlow) {
        let source = flow.dial.source.address
        line.append(flow, of: quota.total)
        lines[source, default: Line()].append(flow, of: quota.count(of: source))
    }

    /// Who gives way to a flow of a source: one of its own where its share is used up, else one of all.
    mutating func firstUnanswered(for source: IPAddress) -> (any UnansweredFlow)? {
        quota.count(of: source) < quota.bound.perSource ? line.popFirst() : lines[source]?.popFirst()
    }

    /// Flows in the order in which they began. Those that have been answered or have ended are passed over, and now and then
    /// removed: often enough that there are never more than twice as many as flows.
    private struct Line {
        private var flows = Deque<any UnansweredFlow>()

        mutating func append(_ flow: any UnansweredFlow, of count: Int) {
            if flows.count > 2 * count { flows.removeAll { !$0.isUnanswered } }
            flows.append(flow)
        }

        mutating func popFirst() -> (any UnansweredFlow)? {
            while let flow = flows.popFirst() {
                if flow.isUnanswered { return flow }
            }
            return nil
        }
    }
}
