// Two stacks plumbed by hand: NICs, routes, endpoints, and a loop that carries the packets.

import NIOCore
import Netstack

@main
enum Memory {
    static func main() async throws {
        let (client, server) = (try Stack(), try Stack())
        let (clientSide, serverSide) = (Endpoint(), Endpoint())
        try await client.createNIC(1, endpoint: clientSide, addresses: [IPAddress("10.0.0.1")])
        try await server.createNIC(1, endpoint: serverSide, addresses: [IPAddress("192.168.1.1")])
        try await client.addRoute(to: CIDRBlock("192.168.1.0/24"), via: 1)
        try await server.addRoute(to: .everyIPv4, via: 1)

        // The link layer: whatever can carry a packet will do.
        let link = [
            Task { while let packet = try await clientSide.read() { try await serverSide.write(packet) } },
            Task { while let packet = try await serverSide.read() { try await clientSide.write(packet) } },
        ]

        let listener = try await server.listen(port: 80)
        let serving = Task {
            for try await connection in listener {
                while let bytes = try await connection.read() { try await connection.write(bytes) }
                await connection.close()
            }
        }

        let connection = try await client.connect(to: TransportAddress("192.168.1.1:80"))
        try await connection.write(ByteBuffer(string: "There and back again"))
        try await connection.closeWrite()
        while let bytes = try await connection.read() { print(String(buffer: bytes)) }

        await listener.close()
        try await serving.value
        await client.shutdown()
        await server.shutdown()
        for task in link { try await task.value }
    }
}
