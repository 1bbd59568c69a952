// What is measured, and which program measures it.

/// What a measurement is about.
package enum Subject: String, Codable, Sendable, CaseIterable {
    case kernel
    case cLoopStock = "c-loop-stock"
    case cLoop = "c-loop"
    case stack
    case swiftStack = "swift-stack"
    case stackPackets = "stack-packets"
    case swiftStackPackets = "swift-stack-packets"
    case nioKernel = "nio-kernel"
    case nioStack = "nio-stack"
    case nioSwiftStack = "nio-swift-stack"
    case libP2P = "libp2p"
    case chaCha20Poly1305 = "chacha20-poly1305"
    case tunnel
    case swiftTunnel = "swift-tunnel"
    case tunnelTCP = "tunnel-tcp"
    case swiftTunnelTCP = "swift-tunnel-tcp"
    case tunnelUnix = "tunnel-unix"
    case swiftTunnelUnix = "swift-tunnel-unix"
    case tunnelLibP2P = "tunnel-libp2p"
    case swiftTunnelLibP2P = "swift-tunnel-libp2p"
    case gvisor
    case gvisorChecksums = "gvisor-checksums"
    case gvisorAsItComes = "gvisor-as-it-comes"
    case gvisorTunnel = "gvisor-tunnel"

    /// Those without a stack of ours, whose MTU could be chosen.
    static let withoutMTU: [Subject] = [.kernel, .nioKernel, .libP2P, .chaCha20Poly1305]

    package var title: String {
        switch self {
        case .kernel: "loopback of the kernel"
        case .cLoopStock: "C loop over the stock lwIP"
        case .cLoop: "C loop over lwIP with our checksum"
        case .stack: "stack to stack, over lwIP, memory link"
        case .swiftStack: "stack to stack, TCP in Swift, memory link"
        case .stackPackets: "stack to stack, over lwIP, memory link that carries nothing but packets"
        case .swiftStackPackets: "stack to stack, TCP in Swift, memory link that carries nothing but packets"
        case .nioKernel: "NIO's channels over loopback sockets of the kernel, each end on an event loop of its own"
        case .nioStack: "our NIO channels, stack to stack, memory link, both ends on one event loop"
        case .nioSwiftStack:
            "our NIO channels, stack to stack, TCP in Swift, memory link, both ends on one event loop"
        case .libP2P: "streams of a libp2p connection over loopback sockets, both ends on one event loop"
        case .chaCha20Poly1305:
            "ChaCha20-Poly1305 alone: messages as long as Noise's encrypted and decrypted on one core"
        case .tunnel: "tunnel to a kernel server, memory link"
        case .swiftTunnel: "tunnel to a kernel server, TCP in Swift, memory link"
        case .tunnelTCP: "tunnel to a kernel server, TCP link, two processes"
        case .swiftTunnelTCP: "tunnel to a kernel server, TCP in Swift, TCP link, two processes"
        case .tunnelUnix: "tunnel to a kernel server, Unix-socket link, two processes"
        case .swiftTunnelUnix: "tunnel to a kernel server, TCP in Swift, Unix-socket link, two processes"
        case .tunnelLibP2P: "tunnel to a kernel server, libp2p link, two processes"
        case .swiftTunnelLibP2P: "tunnel to a kernel server, TCP in Swift, libp2p link, two processes"
        case .gvisor: "gVisor stack to stack, tuned, checksums off"
        case .gvisorChecksums: "gVisor stack to stack, tuned, checksums on"
        case .gvisorAsItComes: "gVisor stack to stack, as it comes"
        case .gvisorTunnel: "gVisor tunnel to a kernel server, tuned, checksums off"
        }
    }

    package var program: Program {
        switch self {
        case .kernel, .stack, .swiftStack, .stackPackets, .swiftStackPackets, .nioKernel, .nioStack, .nioSwiftStack,
            .libP2P, .chaCha20Poly1305,
            .tunnel, .swiftTunnel, .tunnelTCP, .swiftTunnelTCP, .tunnelUnix, .swiftTunnelUnix, .tunnelLibP2P,
            .swiftTunnelLibP2P:
            .vniBench
        case .cLoop: .cLoop
        case .cLoopStock: .cLoopStock
        case .gvisor, .gvisorChecksums, .gvisorAsItComes, .gvisorTunnel: .gvisorPeer
        }
    }
}

/// A program that takes the flags of a measurement. All but the first may be absent.
package enum Program: String, Sendable, CaseIterable {
    case vniBench = "vni-bench"
    case cLoop = "c-loop"
    case cLoopStock = "c-loop-stock"
    case gvisorPeer = "gvisor-peer"
}
