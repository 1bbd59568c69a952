// A link of one's own, in under 25 lines: it delays every packet, as a long way would.

import NIOCore
import Netstack
import VNI

/// Carries packets as another link does, each `delay` later.
struct SlowLink: Link {
    let link: MemoryLink
    let delay: Duration

    func read() async throws -> ByteBuffer? {
        let packet = try await link.read()
        try await Task.sleep(for: delay)
        return packet
    }

    func write(_ packet: ByteBuffer) async throws {
        try await link.write(packet)
    }

    func close() async { await link.close() }
}

@main
enum CustomLink {
    static func main() async throws {
        let (near, far) = MemoryLink.pipe()
        let exit = try await VirtualInterface(.init(mode: .exit), link: far)
        let entrance = try await VirtualInterface(
            .init(mode: .entrance), link: SlowLink(link: near, delay: .milliseconds(20)))
        let address = VirtualInterface.defaultAddresses(.exit)[0]
        let time = try await entrance.stack.ping(address)
        print("\(address) answered after \(time)")
        await entrance.shutdown()
        try await exit.waitForLinkEnd()
        await exit.shutdown()
    }
}
