// An entrance and an exit joined in memory: an HTTP request goes in at one and out at the other.

import HTTPTypes
import NIOCore
import Netstack
import NetstackHTTP
import VNI

/// Usage: example-vni [address of an HTTP server in the exit's network, with its port]
@main
enum Interfaces {
    static func main() async throws {
        let (near, far) = MemoryLink.pipe()
        let exit = try await VirtualInterface(.init(mode: .exit), link: far)
        let entrance = try await VirtualInterface(.init(mode: .entrance), link: near)

        let url: String
        if let address = CommandLine.arguments.dropFirst().first {
            try exit.exposeRoutes([TransportAddress(address).address].map { CIDRBlock($0) })
            url = "http://\(address)/"
        } else {
            // Nobody to ask: a handler in this process answers whatever is dialled through the exit.
            try await HTTPOverTCPForwarder { request in
                .init(body: .text("Hello from behind the exit, at \(request.destination)\n"))
            }.attach(to: exit.stack, nic: VirtualInterface.nic)
            url = "http://192.168.1.1/"
        }

        let client = HTTPClient(stack: entrance.stack)
        let response = try await client.get(url)
        print(response.status)
        for try await bytes in response.body { print(String(buffer: bytes), terminator: "") }

        await client.shutdown()
        await entrance.shutdown()
        await exit.shutdown()
    }
}
