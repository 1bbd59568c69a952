// What an echo request and its reply have in common.

package import NIOCore

/// The body of an echo request or echo reply (RFC 792, RFC 4443 section 4).
package struct ICMPEcho: Hashable, Sendable {
    /// Tells one sender's requests from another's.
    package var identifier: UInt16
    package var sequenceNumber: UInt16
    /// Comes back as it was sent.
    package var payload: ByteBuffer

    /// The type of an echo request's message.
    package static func requestType(_ version: IPVersion) -> UInt8 { version == .v4 ? 8 : 128 }

    package init(identifier: UInt16, sequenceNumber: UInt16, payload: ByteBuffer = ByteBuffer()) {
        self.identifier = identifier
        self.sequenceNumber = sequenceNumber
        self.payload = payload
    }
}
