// How a NIC drives a link from its event loop: plain calls, no task and no continuation per batch.

package import NIOCore

/// The near end of a link. All calls are made on the NIC's event loop.
package protocol LinkDriver: AnyObject {
    /// Bytes given to `send` that the link has not taken yet. Above its limit a NIC makes TCP wait.
    var backlog: Int { get }
    /// Whether the far end takes segments that have not been cut to packets.
    var carriesSegments: Bool { get }
    /// Begins to deliver. `receiver` is held until `stop`.
    func start(_ receiver: any LinkReceiver)
    func send(_ packets: PacketBatch)
    /// Called only where `carriesSegments`.
    func send(_ segments: [OffloadedSegment])
    /// Ends the link and lets go of the receiver, which hears nothing more.
    func stop()
}

extension LinkDriver {
    package var carriesSegments: Bool { false }
    package func send(_ segments: [OffloadedSegment]) { assertionFailure("it carries packets only") }
}

/// What a driver tells its NIC, on the NIC's event loop and never from within a call to the driver.
package protocol LinkReceiver: AnyObject {
    func linkReceived(_ packets: PacketBatch)
    /// Whether it takes segments that have not been cut to packets.
    var takesSegments: Bool { get }
    /// Called only where `takesSegments`.
    func linkReceived(_ segments: [OffloadedSegment])
    /// Runs `body`, which hands on what has arrived together: who reads it hears of all of it at once.
    func together(_ body: () -> Void)
    /// The backlog has shrunk after it had been above the NIC's limit.
    func linkDrained()
    /// The link is over: in good order, or with the error that ended it.
    func linkEnded(_ error: (any Error)?)
}

extension LinkReceiver {
    package var takesSegments: Bool { false }
    package func together(_ body: () -> Void) { body() }
    package func linkReceived(_ segments: [OffloadedSegment]) { assertionFailure("it takes packets only") }
}

/// A link that can be driven without tasks. Any other link is driven by ``TaskLinkDriver``.
package protocol EventLoopLink: Link {
    func makeDriver(on eventLoop: any EventLoop) -> any LinkDriver
}

/// With so many bytes waiting in its link, a NIC takes no more data until `linkDrained`.
package let linkBacklogLimit = 1 << 20
