// A link to the kernel's own stack: what its programs send to a TUN device comes out here.

import Glibc
import NIOConcurrencyHelpers
public import NIOCore
import NIOPosix
public import Netstack

/// A TUN device: at the far end of this link are a kernel and any of its programs.
///
/// ```swift
/// let tun = try await TunLink.open(networkNamespace: "/proc/4711/ns/net")
/// let exit = try await VirtualInterface(.init(mode: .exit), link: tun)
/// ```
/// Addresses and routes are the kernel's affair: `ip address add 10.0.0.1/24 dev tun0`. Packets that the kernel won't take
/// are dropped and counted, as by any NIC. The device goes when the link is closed.
public struct TunLink: Link {
    /// The near end of a pipe; the device stands at its far end.
    private let near: MemoryLink
    private let channel: any Channel
    private let dropped: NIOLockedValueBox<Int>

    /// The name that the kernel has given to the device, in its network namespace.
    public let name: String
    public let defaultMTU: Int

    /// Makes a TUN device, sets its MTU and brings it up.
    ///
    /// - Parameters:
    ///   - name: what to call it; by default `tun0`, `tun1`, … A TUN device that is there and that nobody holds is taken.
    ///   - mtu: in bytes.
    ///   - networkNamespace: the path of the namespace to make the device in, like `/run/netns/blue` or
    ///     `/proc/4711/ns/net`. Nothing else of this process enters it.
    ///   - eventLoop: what the device is read and written on.
    /// - Throws: ``TunError``.
    public static func open(
        name: String? = nil, mtu: Int = 1500, networkNamespace: String? = nil,
        on eventLoop: any EventLoop = Stack.defaultEventLoop
    ) async throws -> TunLink {
        let device = try await TunDevice.open(name: name, mtu: mtu, networkNamespace: networkNamespace)
        let (near, far) = MemoryLink.pipe()
        let dropped = NIOLockedValueBox(0)
        do {
            // To NIO it is a pipe to read from, of which each read returns one packet.
            let channel = try await NIOPipeBootstrap(group: eventLoop)
                .channelOption(.autoRead, value: false)
                .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65535))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let driver = MemoryLinkDriver(far, on: channel.eventLoop)
                        let handler = TunLinkHandler(driver, device.descriptor, dropped)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
                .takingOwnershipOfDescriptor(input: device.descriptor).get()
            return TunLink(near: near, channel: channel, dropped: dropped, name: device.name, defaultMTU: mtu)
        } catch {
            Glibc.close(device.descriptor)
            throw error
        }
    }

    /// Packets that the kernel did not take: it had no memory for them, or the device was down.
    public var packetsDropped: Int { dropped.withLockedValue { $0 } }

    public func read() async throws -> ByteBuffer? { try await near.read() }
    public func readBatch() async throws -> PacketBatch? { try await near.readBatch() }
    public func write(_ packet: ByteBuffer) async throws { try await near.write(packet) }
    public func writeBatch(_ packets: PacketBatch) async throws { try await near.writeBatch(packets) }

    /// Ends the link. When this returns, the device is gone.
    public func close() async {
        await near.close()
        try? await channel.closeFuture.get()
    }
}

extension TunLink: EventLoopLink {
    package func makeDriver(on eventLoop: any EventLoop) -> any LinkDriver { near.makeDriver(on: eventLoop) }
}

/// Joins the device to its end of the pipe. NIO tells when there is a packet; all but the first are read here, and all
/// are written here, one system call each. What is not read in time waits in the kernel's queue, and what exceeds that is
/// dropped there.
private final class TunLinkHandler: LinkChannelHandler {
    /// What is read in one go, before the loop looks at its other sockets.
    private static let batchLimit = 64

    /// The channel's: good while that is active.
    private let descriptor: CInt
    private let dropped: NIOLockedValueBox<Int>
    private var packet = ByteBuffer()

    init(_ driver: MemoryLinkDriver, _ descriptor: CInt, _ dropped: NIOLockedValueBox<Int>) {
        self.descriptor = descriptor
        self.dropped = dropped
        super.init(driver)
    }

    override func packets(in bytes: ByteBuffer) -> PacketBatch {
        var packets = PacketBatch()
        packets.append(bytes)
        while packets.count < Self.batchLimit, readPacket() { packets.append(packet) }
        return packets
    }

    /// Reads into `packet`, unless there is none.
    private func readPacket() -> Bool {
        packet.clear()
        return packet.writeWithUnsafeMutableBytes(minimumWritableBytes: 65535) {
            max(0, Glibc.read(descriptor, $0.baseAddress, $0.count))
        } > 0
    }

    override func linkReceived(_ packets: PacketBatch) {
        guard let context, context.channel.isActive else { return }
        var refused = 0
        packets.bytes.withUnsafeReadableBytes { bytes in
            packets.forEachRange { range in
                let packet = UnsafeRawBufferPointer(rebasing: bytes[range])
                if Glibc.write(descriptor, packet.baseAddress, packet.count) < 0 { refused += 1 }
            }
        }
        if refused > 0 { dropped.withLockedValue { $0 += refused } }
    }
}
