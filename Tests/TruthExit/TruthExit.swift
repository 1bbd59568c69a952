// An exit as a process of its own, for the tests to start inside a network namespace.

import Glibc
import Logging
import Netstack
import NetstackLinks
import SwiftStack
import VNI

/// Joins two of: a TUN device in some namespace, a Unix socket, and an exit with this process's own sockets. Arguments:
///
/// - `tun=NAME@NAMESPACE`: makes the device in the namespace at that path.
/// - `listen=PATH`, `connect=PATH`: a stream link.
/// - `mtu=BYTES`: of the device; 1500 by default.
/// - `stack=swift`, `stack=lwip`: the TCP of the exit.
/// - `expose=BLOCK`: a route of the exit, any number of them. With none there is no exit, and packets go from the first
///   link to the second.
///
/// Prints `ready`, and ends with its standard input.
@main
enum TruthExit {
    static func main() async throws {
        var links: [any Link] = []
        var blocks: [String] = []
        var mtu = 1500
        var stack = TCPImplementation.lwIP
        for argument in CommandLine.arguments.dropFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw UsageError(argument: argument) }
            switch parts[0] {
            case "mtu": mtu = Int(parts[1]) ?? mtu
            case "tun":
                let place = parts[1].split(separator: "@", maxSplits: 1).map(String.init)
                links.append(try await TunLink.open(name: place.first, mtu: mtu, networkNamespace: place.last))
            case "connect": links.append(try await StreamLink.connect(unixDomainSocketPath: parts[1]))
            case "listen":
                let listener = try await StreamLink.listen(unixDomainSocketPath: parts[1])
                say("listening")
                for await link in listener {
                    links.append(link)
                    break
                }
                await listener.close()
            case "stack": stack = parts[1] == "swift" ? .swift : .lwIP
            case "expose": blocks.append(parts[1])
            default: throw UsageError(argument: argument)
            }
        }
        var exit: VirtualInterface?
        if blocks.isEmpty {
            guard links.count == 2 else { throw UsageError(argument: "one link and no exit") }
            pump(links[0], links[1])
            pump(links[1], links[0])
        } else {
            guard links.count == 1 else { throw UsageError(argument: "\(links.count) links to an exit") }
            let logger = Logger(label: "exit") { _ in SwiftLogNoOpLogHandler() }
            exit = try await VirtualInterface(
                .init(mode: .exit, mtu: mtu, logger: logger), link: links[0], stack: stack)
            try exit?.exposeRoutes(blocks)
        }
        say("ready")
        while readLine() != nil {}
        await exit?.shutdown()
        for link in links { await link.close() }
    }

    /// Output to a pipe is held back otherwise.
    private static func say(_ word: String) {
        print(word)
        fflush(nil)
    }

    private static func pump(_ source: any Link, _ destination: any Link) {
        Task {
            while let packets = try await source.readBatch() { try await destination.writeBatch(packets) }
            await destination.close()
        }
    }
}

struct UsageError: Error {
    var argument: String
}
