// A stack attached to a libp2p host, and an HTTP request through it from another host.

import HTTPTypes
import NIOCore
import Netstack
import NetstackHTTP
import NetstackLibP2P
import VNI

/// Usage: example-libp2p [address of an HTTP server in the exit's network, with its port]
@main
enum LibP2P {
    static func main() async throws {
        let far = LibP2PHost()
        let near = LibP2PHost()

        // The far host: an exit at the end of each link that the near host opens. Nobody else gets one.
        let destination = try CommandLine.arguments.dropFirst().first.map { try TransportAddress($0) }
        await far.allow(near.peerID)
        await far.acceptLinks { link, peer in
            let routes = try destination.map { [try ExposedRoute(CIDRBlock($0.address))] } ?? []
            let exit = try await VirtualInterface(.init(mode: .exit), link: link, exposing: routes) { stack in
                guard destination == nil else { return }
                // Nobody to ask: a handler in this process answers whatever is dialled through the exit.
                try HTTPOverTCPForwarder { request in
                    .init(body: .text("Hello \(peer), from behind the exit, at \(request.destination)\n"))
                }.attach(to: stack, nic: VirtualInterface.nic)
            }
            try await exit.waitForLinkEnd()
            await exit.shutdown()
        }
        let address = try await far.listen(on: Multiaddr("/ip4/127.0.0.1/tcp/0"))
        print("The far host listens at \(address)")

        // The near host: an entrance at the near end of such a link.
        let entrance = try await VirtualInterface(.init(mode: .entrance), link: near.openLink(to: address))
        let client = HTTPClient(stack: entrance.stack)
        let response = try await client.get("http://\(destination.map { "\($0)" } ?? "192.168.1.1")/")
        print(response.status)
        for try await bytes in response.body { print(String(buffer: bytes), terminator: "") }

        await client.shutdown()
        await entrance.shutdown()
        await near.shutdown()
        await far.shutdown()
    }
}
