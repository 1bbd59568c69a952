// Two gRPC calls between stacks that a link joins: one with a single answer, one with a stream of them.

import GRPCCore
import GRPCNIOTransportHTTP2
import NIOCore
import Netstack

@main
enum Example {
    static func main() async throws {
        let (here, there) = MemoryLink.pipe()
        let near = try await stack("10.0.0.1", here)
        let far = try await stack("10.0.0.2", there)
        let address = try NIOCore.SocketAddress(ipAddress: "10.0.0.2", port: 50051)

        let serverTransport = HTTP2ServerTransport.Custom(
            listenerFactory: StackListenerFactory(stack: far, address: address))
        try await withGRPCServer(transport: serverTransport, services: [Greeter()]) { _ in
            // It listens from here on.
            _ = await serverTransport.listeningAddress
            let clientTransport = try await HTTP2ClientTransport.WrappedChannel.connecting(through: near, to: address)
            try await withGRPCClient(transport: clientTransport) { client in
                try await greet(client)
                try await count(client)
            }
        }
        await near.shutdown()
        await far.shutdown()
    }

    private static func greet(_ client: GRPCClient<some ClientTransport>) async throws {
        let answer = try await client.unary(
            request: ClientRequest(message: "stack"), descriptor: Greeter.greet, serializer: TextSerializer(),
            deserializer: TextDeserializer(), options: .defaults
        ) { try $0.message }
        guard answer == "Hello, stack" else { throw Failure(call: "Greet") }
        print(answer)
    }

    private static func count(_ client: GRPCClient<some ClientTransport>) async throws {
        let numbers = try await client.serverStreaming(
            request: ClientRequest(message: "1000"), descriptor: Greeter.count, serializer: TextSerializer(),
            deserializer: TextDeserializer(), options: .defaults
        ) { try await $0.messages.reduce(into: [String]()) { $0.append($1) } }
        guard numbers == (1...1000).map(String.init) else { throw Failure(call: "Count") }
        print("\(numbers.count) messages in order")
    }

    private static func stack(_ address: String, _ link: MemoryLink) async throws -> Stack {
        let stack = try Stack()
        try await stack.createNIC(1, link: link, addresses: [IPAddress(address)])
        try await stack.addRoute(to: .everyIPv4, via: 1)
        return stack
    }

    private struct Failure: Error, CustomStringConvertible {
        let call: String
        var description: String { "\(call) has answered something else" }
    }
}
