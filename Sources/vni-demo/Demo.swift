// The command line of `vni-demo`: the main job, end to end, on this machine.

import ArgumentParser
import Logging
import NIOCore
import Netstack
import NetstackLibP2P
import NetstackLinks
import SwiftStack
import VNI

@main
struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vni-demo",
        abstract: "Fetches a page and 64 MiB through a tunnel, dials a closed port, sends a datagram and gets it back.",
        discussion: """
            An entrance dials over a userspace TCP/IP stack; packets cross a link; an exit dials the real destination. \
            Without options everything runs in this process, against a small HTTP server on a loopback address.
            """)

    enum LinkKind: String, ExpressibleByArgument, CaseIterable {
        case memory, tcp, libp2p
    }

    enum StackKind: String, ExpressibleByArgument, CaseIterable {
        case lwip, swift

        var implementation: TCPImplementation { self == .lwip ? .lwIP : .swift }
    }

    @Option(help: "What does TCP at both ends: lwip, or swift.")
    var stack = StackKind.lwip

    @Option(help: "What joins the two ends: memory, or tcp or libp2p with the exit in a second process.")
    var link = LinkKind.memory

    @Option(help: "Fetch this http:// or https:// URL through the tunnel instead.")
    var url: String?

    @Flag(help: "Log what the tunnel does.")
    var verbose = false

    /// The second process: listens for the link, prints where, and ends with it.
    @Flag(help: .hidden) var exit = false
    /// The one peer that the second process lets in, for a link over libp2p.
    @Option(help: .hidden) var allow: String?
    @Option(help: .hidden) var expose: [String] = []
    @Option(help: .hidden) var exposeTo: [String] = []

    func run() async throws {
        if exit { return try await runExit() }
        do {
            let far = try await Exit(link, stack, routes: routes, logger: logger("exit"))
            do {
                try await fetch(through: far)
                await far.stop()
            } catch {
                await far.stop()
                throw error
            }
        } catch let code as ExitCode {
            throw code
        } catch {
            print("vni-demo: \(error)")
            throw ExitCode.failure
        }
    }

    private func fetch(through far: Exit) async throws {
        var configuration = VirtualInterface.Configuration(mode: .entrance)
        configuration.logger = logger("entrance")
        let entrance = try await VirtualInterface(configuration, link: far.link, stack: stack.implementation)
        let succeeded: Bool
        if let url {
            succeeded = await Fetch(entrance).run(url)
        } else {
            succeeded = try await Tour(entrance, link: link).run()
        }
        await entrance.shutdown()
        if !succeeded { throw ExitCode.failure }
    }

    /// What the exit lets through: the tour's own addresses, or all but loopback for a URL of the user's.
    private var routes: Exit.Routes {
        url == nil
            ? .init(targets: [(Tour.host, "127.0.0.1"), (Tour.host6, "::1")]) : .init(blocks: ["0.0.0.0/0", "::/0"])
    }

    private func logger(_ label: String) -> Logger {
        var logger = Logger(label: label, factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = verbose ? .debug : .error
        return logger
    }

    private func runExit() async throws {
        if let allow { return try await runExit(allowing: PeerID(allow)) }
        let listener = try await StreamLink.listen(host: "127.0.0.1", port: 0)
        announce("\(listener.localAddress?.port ?? 0)")
        for await link in listener {
            try await serve(link)
            break
        }
        await listener.close()
    }

    private func runExit(allowing peer: PeerID) async throws {
        let host = LibP2PHost()
        await host.allow(peer)
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        await host.acceptLinks { link, _ in
            defer { end.finish() }
            try await serve(link)
        }
        try await announce("\(host.listen(on: Multiaddr("/ip4/127.0.0.1/tcp/0")))")
        for await _ in ends {}
        await host.shutdown()
    }

    /// The parent reads this from a pipe.
    private func announce(_ place: String) {
        print(place)
        flushOutput()
    }

    private func serve(_ link: StreamLink) async throws {
        let targets = exposeTo.map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return (parts.first ?? "", parts.count == 2 ? parts[1] : "")
        }
        let interface = try await VirtualInterface(
            .init(mode: .exit, logger: logger("exit")), link: link, stack: stack.implementation,
            exposing: Exit.Routes(blocks: expose, targets: targets).parse())
        try? await interface.waitForLinkEnd()
        await interface.shutdown()
    }
}
