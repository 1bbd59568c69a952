// Stacks whose TCP is lwIP's. All else of them is in NetstackCore, which comes along.

@_exported public import NetstackCore
public import NIOCore

extension TCPImplementation {
    /// lwIP's TCP, of the installed liblwip. It is used by one thread at a time, whichever stack's that is.
    public static let lwIP = TCPImplementation { eventLoop, limits throws(NetstackError) in
        try LwIPEngine(on: eventLoop, limits: limits)
    }
}

extension Stack {
    /// Makes a stack without NICs, over lwIP's TCP.
    ///
    /// - Throws: `NetstackError.incompatibleLibrary` when the installed liblwip does not fit.
    public init(limits: Limits = Limits(), on eventLoop: any EventLoop = Stack.defaultEventLoop) throws {
        try self.init(.lwIP, limits: limits, on: eventLoop)
    }
}
