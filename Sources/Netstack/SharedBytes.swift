// Bytes that a connection of lwIP's sends from where its user has them.

import CLwIP
import CLwIPSupport
import NIOCore
import NetstackCore

/// What a segment in lwIP's queues holds in place of a copy.
final class SharedBytes {
    /// Fewer are copied, which costs less.
    static let minimumLength = 4096

    private let bytes: ByteBuffer

    private init(_ bytes: ByteBuffer) { self.bytes = bytes }

    /// Queues all of `bytes` as one segment. Called inside the library.
    ///
    /// Good for as long as lwIP has them: it owns a reference to the buffer, and whoever else has one copies before a change.
    static func queue(_ bytes: ByteBuffer, on pcb: UnsafeMutablePointer<tcp_pcb>) -> err_t {
        let owner = Unmanaged.passRetained(SharedBytes(bytes))
        let code = bytes.withUnsafeReadableBytes {
            clwip_support_write_shared(
                pcb, $0.baseAddress, UInt16(truncatingIfNeeded: $0.count), owner.toOpaque()
            ) { owner in
                if let owner { Unmanaged<SharedBytes>.fromOpaque(owner).release() }
            }
        }
        if code != err_t(ERR_OK.rawValue) { owner.release() }
        return code
    }

    /// The bytes of a segment behind its headers, if they are of this kind and nothing else: those that lwIP has left of them.
    static func bytes(of packet: UnsafeMutablePointer<pbuf>, behind header: Int) -> ByteBuffer? {
        guard Int(packet.pointee.len) == header, let data = packet.pointee.next, data.pointee.next == nil,
            let owner = clwip_support_shared_owner(data)
        else { return nil }
        let bytes = Unmanaged<SharedBytes>.fromOpaque(owner).takeUnretainedValue().bytes
        // lwIP cuts only at the end.
        return bytes.getSlice(at: bytes.readerIndex, length: Int(data.pointee.len))
    }
}
