// A Hummingbird application inside a stack, reached from the other end of a link by the library's HTTP client, and by curl
// through an exit.

import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Netstack
import NetstackHTTP
import VNI

@main
enum Example {
    private static let address = "10.0.0.2"

    static func main() async throws {
        let (here, there) = MemoryLink.pipe()
        let near = try await stack("10.0.0.1", here)
        let far = try await stack(address, there)

        var logger = Logger(label: "example")
        logger.logLevel = .warning
        let http = HTTP1Channel(application().buildResponder(), logger: logger)
        let server = try await StackServer(http, on: far, port: 80, logger: logger)
        try await HTTPOverTCPForwarder(http, logger: logger).attach(to: far, nic: 1)
        // A door of this host into the stacks' network, and beyond an exit a door to that one, for curl.
        let gate = try await Gate(into: near, to: SocketAddress(ipAddress: address, port: 80))
        let (outside, inside) = MemoryLink.pipe()
        let exit = try await VirtualInterface(.init(mode: .exit), link: inside)
        try exit.exposeRoute("192.168.1.1/32", to: "127.0.0.1")
        let entrance = try await VirtualInterface(.init(mode: .entrance), link: outside)
        let remote = try await Gate(
            into: entrance.stack, to: SocketAddress(ipAddress: "192.168.1.1", port: gate.port))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            group.addTask { try await gate.run() }
            group.addTask { try await remote.run() }
            let client = HTTPClient(stack: near)
            for path in ["/", "/echo?text=hello", "/count/20000"] {
                let own = try await client.get("http://\(address)\(path)").body.collect(upTo: 1 << 20)
                let curls = try await curl("http://127.0.0.1:\(remote.port)\(path)")
                guard String(buffer: own) == curls else { throw Failure(path: path) }
                print("\(path): \(own.readableBytes) bytes, the same by HTTPClient and by curl through an exit")
            }
            // An address that nobody has: the forwarder answers for it.
            guard try await client.get("http://203.0.113.7/").status == .ok else { throw Failure(path: "/") }
            await client.shutdown()
            group.cancelAll()
        }
        await entrance.shutdown()
        await exit.shutdown()
        await near.shutdown()
        await far.shutdown()
    }

    private static func application() -> Router<BasicRequestContext> {
        let router = Router()
        router.get("/") { _, _ in "Hello from Hummingbird, inside a stack\n" }
        router.get("/echo") { request, _ in request.uri.queryParameters.get("text") ?? "" }
        router.get("/count/:number") { _, context in
            let number = try context.parameters.require("number", as: Int.self)
            let body = ResponseBody { writer in
                for line in 1...max(number, 1) { try await writer.write(ByteBuffer(string: "\(line)\n")) }
                try await writer.finish(nil)
            }
            return Response(status: .ok, body: body)
        }
        return router
    }

    private static func stack(_ address: String, _ link: MemoryLink) async throws -> Stack {
        let stack = try Stack()
        try await stack.createNIC(1, link: link, addresses: [IPAddress(address)], promiscuous: true, spoofing: true)
        try await stack.addRoute(to: .everyIPv4, via: 1)
        return stack
    }

    private static func curl(_ url: String) async throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["curl", "--silent", "--show-error", "--max-time", "30", url]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        return String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    }

    private struct Failure: Error, CustomStringConvertible {
        let path: String
        var description: String { "\(path): HTTPClient and curl have got different answers" }
    }
}
