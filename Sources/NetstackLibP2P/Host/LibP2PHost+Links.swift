// Packets over streams: links to peers, and links that peers open.

import NIOConcurrencyHelpers
public import NetstackLinks
public import Netstack

extension LibP2PHost {
    /// The protocol of streams that carry IP packets: one after the other, with nothing between.
    public static let linkProtocol = "/rns/one-way/0.0.1"

    /// Opens a link to a peer that accepts links.
    ///
    /// - Throws: as `openStream`.
    public func openLink(to address: Multiaddr) async throws -> StreamLink {
        try await openStream(to: address, protocols: [Self.linkProtocol]) { channel, _, _ in
            try StreamLink(synchronously: channel)
        }
    }

    /// Accepts links: `body` is called with each that a peer on the allow list opens, and the link ends when it returns.
    ///
    /// ```swift
    /// await host.acceptLinks { link, peer in
    ///     let exit = try await VirtualInterface(.init(mode: .exit), link: link)
    ///     try exit.exposeRoutes(["192.168.1.0/24"])
    ///     try await exit.waitForLinkEnd()
    /// }
    /// ```
    public func acceptLinks(_ body: @escaping @Sendable (StreamLink, PeerID) async throws -> Void) {
        handle(Self.linkProtocol) { channel, peer in
            let link = try StreamLink(synchronously: channel)
            Task {
                // What ended the link has been told to `body`, unless it had returned.
                try? await body(link, peer)
                await link.close()
            }
        }
    }

    /// Attaches a stack's own side of a link to the links that peers open, one at a time: a further one is closed at once,
    /// for as long as the one before is open.
    public func acceptLinks(attachedTo endpoint: Endpoint) {
        let isTaken = NIOLockedValueBox(false)
        acceptLinks { link, _ in
            let wasTaken = isTaken.withLockedValue { isTaken in
                defer { isTaken = true }
                return isTaken
            }
            guard !wasTaken else { return }
            defer { isTaken.withLockedValue { $0 = false } }
            try await Self.carry(between: endpoint, and: link)
        }
    }

    /// Until either side ends.
    private static func carry(between endpoint: Endpoint, and link: StreamLink) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { while let packets = try await endpoint.readBatch() { try await link.writeBatch(packets) } }
            group.addTask { while let packets = try await link.readBatch() { try await endpoint.writeBatch(packets) } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
