// The service: a greeting for a name, and a count with a message for each number.

import GRPCCore

struct Greeter: RegistrableRPCService {
    static let greet = MethodDescriptor(fullyQualifiedService: "example.Greeter", method: "Greet")
    static let count = MethodDescriptor(fullyQualifiedService: "example.Greeter", method: "Count")

    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        router.registerHandler(
            forMethod: Self.greet, deserializer: TextDeserializer(), serializer: TextSerializer()
        ) { request, _ in
            let name = try await ServerRequest(stream: request).message
            return StreamingServerResponse(single: ServerResponse(message: "Hello, \(name)"))
        }
        router.registerHandler(
            forMethod: Self.count, deserializer: TextDeserializer(), serializer: TextSerializer()
        ) { request, _ in
            let limit = Int(try await ServerRequest(stream: request).message) ?? 0
            return StreamingServerResponse { writer in
                for number in 1...max(limit, 1) { try await writer.write("\(number)") }
                return [:]
            }
        }
    }
}
