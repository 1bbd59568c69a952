// The header of a Yamux frame.

package import NIOCore

/// What is before the data of a frame (https://github.com/hashicorp/yamux/blob/master/spec.md, Framing).
package struct YamuxFrame: Hashable {
    package enum Kind: UInt8 {
        case data = 0
        case windowUpdate = 1
        case ping = 2
        case goAway = 3
    }

    package struct Flags: OptionSet, Hashable, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        /// Opens a stream, or asks for an answer to a ping.
        package static let syn = Flags(rawValue: 1)
        /// Accepts a stream, or answers a ping.
        package static let ack = Flags(rawValue: 2)
        /// Closes the sender's direction.
        package static let fin = Flags(rawValue: 4)
        /// Ends the stream at once.
        package static let rst = Flags(rawValue: 8)
    }

    package static let headerLength = 12
    private static let version: UInt8 = 0

    package var kind: Kind
    package var flags: Flags
    /// Zero for the session itself.
    package var streamID: UInt32
    /// Bytes of data that follow, or by how much the window grows, or a ping's number, or why the session ends.
    package var length: UInt32

    package init(_ kind: Kind, _ flags: Flags = [], streamID: UInt32 = 0, length: UInt32 = 0) {
        self.kind = kind
        self.flags = flags
        self.streamID = streamID
        self.length = length
    }

    /// Reads a header; nil, and nothing read, while its end has not come.
    ///
    /// - Throws: `LibP2PError.yamux`.
    package init?(parsing bytes: inout ByteBuffer) throws(LibP2PError) {
        guard bytes.readableBytes >= Self.headerLength,
            let (version, kind, flags, streamID, length) = bytes.readMultipleIntegers(
                as: (UInt8, UInt8, UInt16, UInt32, UInt32).self)
        else { return nil }
        guard version == Self.version else { throw .yamux(fault: "a frame of version \(version)") }
        guard let kind = Kind(rawValue: kind) else { throw .yamux(fault: "a frame of kind \(kind)") }
        let isOfSession = kind == .ping || kind == .goAway
        guard isOfSession == (streamID == 0) else {
            throw .yamux(fault: "a frame of kind \(kind) for stream \(streamID)")
        }
        self.init(kind, Flags(rawValue: flags), streamID: streamID, length: length)
    }

    package func write(to bytes: inout ByteBuffer) {
        bytes.writeMultipleIntegers(Self.version, kind.rawValue, flags.rawValue, streamID, length)
    }
}
