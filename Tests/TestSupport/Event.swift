// Something for a test to wait for.

/// Something that happens once, for a test to wait for.
package struct Event: Sendable {
    private let stream = AsyncStream.makeStream(of: Void.self)

    package init() {}

    package func happen() {
        stream.continuation.finish()
    }

    package func wait() async {
        for await _ in stream.stream {}
    }
}
