// `vni-bench exit`: the second process of a tunnel over a stream link.

import ArgumentParser
import BenchmarkSubjects
import NetstackLibP2P

struct Exit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Forwards what comes over a link to this machine's loopback, until the link ends.",
        shouldDisplay: false)

    @Option var stack: ExitProcess.StackKind
    @Option var link: ExitProcess.LinkKind
    @Option var mtu: Int
    @Option(transform: { try PeerID($0) }) var peer: PeerID?

    func run() async throws {
        raiseDescriptorLimit()
        try await ExitProcess.run(stack, over: link, mtu: mtu, peer: peer)
    }
}

extension ExitProcess.StackKind: ExpressibleByArgument {}
extension ExitProcess.LinkKind: ExpressibleByArgument {}
