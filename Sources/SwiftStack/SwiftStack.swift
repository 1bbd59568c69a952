// Stacks whose TCP is written in Swift. All else of them is in NetstackCore, which comes along.

@_exported public import NetstackCore
import NIOCore

extension TCPImplementation {
    /// TCP in Swift: with selective acknowledgments, RACK-TLP and CUBIC, windows that tune themselves, and no C beneath it.
    public static let swift = TCPImplementation { eventLoop, limits in SwiftEngine(on: eventLoop, limits: limits) }
}
