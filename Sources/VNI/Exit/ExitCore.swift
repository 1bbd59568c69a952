// What the forwarders of an exit share: routes, policy, bounds, and the connections and flows that are open.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import Netstack

/// Something that a dial has opened, or is about to.
protocol ExitFlow: AnyObject {
    var dial: ExitDial { get }
    /// Ends it: its route is gone.
    func unroute()
}

/// An exit on the event loop of its stack.
final class ExitCore {
    let stack: StackCore
    let nic: NetworkInterface
    let limits: ExitLimits
    let logger: Logger
    private let routes: NIOLockedValueBox<ExposedRoutes>?
    private let policy: (any ExitPolicy)?

    var counters = ExitStatistics()
    var dials: FlowQuota
    var connections: SourceQuota
    var udpFlows: FlowQuota
    var echoFlows: FlowQuota
    private var flows: [ObjectIdentifier: any ExitFlow] = [:]

    /// - Parameter routes: what is let through; nil leaves that to the policy.
    init(
        _ stack: StackCore, _ nic: NetworkInterface, routes: NIOLockedValueBox<ExposedRoutes>?,
        policy: (any ExitPolicy)?, limits: ExitLimits, logger: Logger
    ) {
        self.stack = stack
        self.nic = nic
        self.routes = routes
        self.policy = policy
        self.limits = limits
        self.logger = logger
        dials = FlowQuota(limits.dials)
        connections = SourceQuota(limits.connections)
        udpFlows = FlowQuota(limits.udpFlows)
        echoFlows = FlowQuota(limits.echoFlows)
    }

    var statistics: ExitStatistics {
        var statistics = counters
        statistics.dialsInFlight = dials.total
        statistics.connections = connections.total
        statistics.udpFlows = udpFlows.total
        statistics.echoFlows = echoFlows.total
        return statistics
    }

    // MARK: Deciding

    /// The dial with the target that the routes give it; nil if none covers it.
    func route(
        _ transport: ExitDial.Transport, from source: TransportAddress, to destination: TransportAddress
    ) -> ExitDial? {
        guard let routes else { return ExitDial(transport, from: source, to: destination) }
        return routes.withLockedValue { $0.target(for: transport, destination) }.map {
            ExitDial(transport, from: source, to: destination, target: $0)
        }
    }

    /// The same for a new dial: one that no route covers is counted as prohibited.
    func admit(
        _ transport: ExitDial.Transport, from source: TransportAddress, to destination: TransportAddress
    ) -> ExitDial? {
        let dial = route(transport, from: source, to: destination)
        if dial == nil { prohibit(ExitDial(transport, from: source, to: destination)) }
        return dial
    }

    /// Asks the policy. `decided` hears at once where there is none.
    func decide(on dial: ExitDial, _ decided: @escaping (ExitDecision) -> Void) {
        guard let policy else { return decided(.allow) }
        let reach = NIOLoopBound((self, decided), eventLoop: stack.eventLoop)
        let eventLoop = stack.eventLoop
        Task {
            let decision = await policy.decide(on: dial)
            eventLoop.execute {
                let (core, decided) = reach.value
                core.log(dial, decision)
                decided(decision)
            }
        }
    }

    private func log(_ dial: ExitDial, _ decision: ExitDecision) {
        logger.info("decided", metadata: ["dial": "\(dial)", "decision": "\(decision)"])
    }

    func prohibit(_ dial: ExitDial) {
        counters.prohibited += 1
        logger.info("prohibited", metadata: ["dial": "\(dial)"])
    }

    /// Counts one more flow of a source, which an unanswered one may have to give way to.
    ///
    /// - Returns: false if there is no room, and none that gives way.
    func take(_ quota: ReferenceWritableKeyPath<ExitCore, FlowQuota>, for source: IPAddress) -> Bool {
        if !self[keyPath: quota].hasRoom(for: source),
            let flow = self[keyPath: quota].popUnanswered(for: source, now: stack.eventLoop.now)
        {
            logger.debug("gives way", metadata: ["dial": "\(flow.dial)"])
            flow.giveWay()
        }
        return self[keyPath: quota].take(source)
    }

    // MARK: What is open

    func opened(_ flow: any ExitFlow) { flows[ObjectIdentifier(flow)] = flow }

    func closed(_ flow: any ExitFlow) { flows[ObjectIdentifier(flow)] = nil }

    /// Ends what the routes, as they are now, do not let through, or lead elsewhere.
    func routesChanged() {
        for flow in flows.values {
            let dial = flow.dial
            guard route(dial.transport, from: dial.source, to: dial.destination) != dial else { continue }
            counters.unrouted += 1
            logger.info("unrouted", metadata: ["dial": "\(dial)"])
            flow.unroute()
        }
    }
}
