// A stack whose packets a test sends and hears by itself.

package import Netstack
import Testing

extension Endpoint {
    /// A stack with a listener on port 80, and the endpoint to reach it by; nothing of it may be left in the end.
    package static func with(
        _ tcp: TCPImplementation = StacksUnderTest.near,
        addresses: [IPAddress] = [StackPair.nearAddress, StackPair.nearAddress6], mtu: Int? = 1500,
        promiscuous: Bool = false, limits: Stack.Limits = .init(),
        _ body: (Stack, TCPListener, Endpoint) async throws -> Void
    ) async throws {
        let stack = try Stack(tcp, limits: limits)
        let endpoint = Endpoint()
        try await stack.createNIC(1, endpoint: endpoint, addresses: addresses, mtu: mtu, promiscuous: promiscuous)
        for address in addresses {
            try await stack.addRoute(to: address.version == .v4 ? .everyIPv4 : .everyIPv6, via: 1)
        }
        let listener = try await stack.listen(port: 80)
        do {
            try await body(stack, listener, endpoint)
        } catch {
            await stack.shutdown()
            throw error
        }
        await stack.shutdown()
        #expect(await stack.connectionCount == 0)
    }
}
