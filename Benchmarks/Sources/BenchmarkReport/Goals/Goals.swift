// What the library is meant to reach.

package enum Goals {
    private static func bulk(_ subject: Subject, _ direction: Direction = .down, _ mtu: Int = 1500) -> Cell {
        Cell(subject, .bulk, direction, [.mtu: mtu])
    }

    private static func gvisor(_ mtu: Int) -> [Cell] {
        [.gvisor, .gvisorChecksums, .gvisorAsItComes].map { bulk($0, .down, mtu) }
    }

    private static func perSubject(_ make: (Subject) -> [Comparison]) -> [Comparison] {
        [Subject.stack, .tunnel].flatMap(make)
    }

    private static func perDirection(_ make: (Direction) -> [Comparison]) -> [Comparison] {
        Direction.allCases.flatMap(make)
    }

    package static let all: [Comparison] =
        [
            Comparison(
                "C loop with our checksum against the stock library, MTU 1500", .gigabitsPerSecond, bulk(.cLoop),
                to: [bulk(.cLoopStock)], .atLeast(1.8)),
            Comparison(
                "stack to stack, packet by packet, against the C loop, MTU 1500", .gigabitsPerSecond,
                bulk(.stackPackets), to: [bulk(.cLoop)], .atLeast(0.9)),
            Comparison(
                "the same against the best gVisor pair, MTU 1500", .gigabitsPerSecond, bulk(.stackPackets),
                to: gvisor(1500), .atLeast(4)),
            Comparison(
                "stack to stack against the best gVisor pair, MTU 65535", .gigabitsPerSecond,
                bulk(.stack, .down, 65535), to: gvisor(65535), .atLeast(1.5)),
            Comparison(
                "the same with TCP in Swift", .gigabitsPerSecond, bulk(.swiftStack, .down, 65535), to: gvisor(65535),
                .atLeast(1.5)),
            Comparison("stack to stack, request and response, p50 in µs", .p50, Cell(.stack, .latency), .atMost(5)),
        ]
        + perDirection { way in
            [
                Comparison(
                    "NIO channels, \(way.rawValue), MTU 1500, against plain connections", .gigabitsPerSecond,
                    bulk(.nioStack, way), to: [bulk(.stack, way)], .atLeast(0.9)),
                Comparison(
                    "tunnel, \(way.rawValue), MTU 1500, Gbit/s", .gigabitsPerSecond, bulk(.tunnel, way), .atLeast(8)),
                Comparison(
                    "tunnel, \(way.rawValue), MTU 1500, against the kernel's loopback", .gigabitsPerSecond,
                    bulk(.tunnel, way), to: [bulk(.kernel, way)], .atLeast(0.35)),
                Comparison(
                    "tunnel, \(way.rawValue), MTU 65535, against the kernel's loopback", .gigabitsPerSecond,
                    bulk(.tunnel, way, 65535), to: [bulk(.kernel, way)], .atLeast(0.6)),
            ]
        }
        + perSubject { subject in
            let many = bulk(subject).with(.flows, 64)
            return [
                Comparison(
                    "\(subject.rawValue), 64 flows against one", .gigabitsPerSecond, many, to: [bulk(subject)],
                    .atLeast(0.9)),
                Comparison("\(subject.rawValue), 64 flows, share of the slowest", .smallestShare, many, .atLeast(0.5)),
                Comparison("\(subject.rawValue), 64 flows, memory in MB", .peakMemory, many, .atMost(200)),
            ]
        }
        + [
            Comparison(
                "libp2p, one stream, against ChaCha20-Poly1305 alone on one core", .gigabitsPerSecond, bulk(.libP2P),
                to: [bulk(.chaCha20Poly1305)], .atLeast(0.7)),
            Comparison("tunnel, request and response, p50 in µs", .p50, Cell(.tunnel, .latency), .atMost(25)),
            Comparison(
                "the same against the kernel's loopback", .p50, Cell(.tunnel, .latency), to: [Cell(.kernel, .latency)],
                .atMost(2)),
            Comparison(
                "tunnel, connect + echo + close a second, one at a time", .perSecond, Cell(.tunnel, .connect),
                .atLeast(6000)),
            Comparison(
                "the same, 32 at once", .perSecond, Cell(.tunnel, .connect).with(.concurrency, 32), .atLeast(12_000)),
            Comparison("tunnel, 1,000 dials at once, failures", .failures, Cell(.tunnel, .dials), .atMost(0)),
            Comparison("the same, seconds until the last is open", .seconds, Cell(.tunnel, .dials), .atMost(0.3)),
        ]
        + perSubject { subject in
            [
                Comparison(
                    "\(subject.rawValue), one flow at 100 ms round trip, Gbit/s", .gigabitsPerSecond,
                    bulk(subject).with(.roundTrip, 100), .atLeast(0.25)),
                Comparison(
                    "\(subject.rawValue), one flow at 20 ms round trip, Gbit/s", .gigabitsPerSecond,
                    bulk(subject).with(.roundTrip, 20), .atLeast(1.2)),
            ]
        }
        + [
            Comparison(
                "NIO channels, HTTP requests a second at 64 connections, against sockets of the kernel", .perSecond,
                http(.nioStack), to: [http(.nioKernel)], .atLeast(0.6)),
            Comparison("50,000 idle connections, bytes for each", .bytesPerConnection, idle(50_000), .atMost(4096)),
            Comparison(
                "a message on one of 50,000 against one of 100", .messageTime, idle(50_000), to: [idle(100)], .atMost(3)
            ),
            Comparison(
                "50,000 idle connections, longest run of timers in µs", .longestTick, idle(50_000), .atMost(1000)),
        ] + swift

    /// TCP in Swift against lwIP's.
    private static let swift: [Comparison] =
        [1500, 65535].map { mtu in
            Comparison(
                "TCP in Swift against lwIP, packet by packet, MTU \(mtu)", .gigabitsPerSecond,
                bulk(.swiftStackPackets, .down, mtu), to: [bulk(.stackPackets, .down, mtu)], .atLeast(1))
        } + [
            Comparison(
                "TCP in Swift against lwIP, request and response", .p50, Cell(.swiftStack, .latency),
                to: [Cell(.stack, .latency)],
                .atMost(1)),
            Comparison(
                "the same, 1 % loss at 20 ms", .gigabitsPerSecond, lossy(.swiftStack), to: [lossy(.stack)],
                .atLeast(10)),
            Comparison(
                "TCP in Swift, one flow at 100 ms round trip, Gbit/s", .gigabitsPerSecond,
                bulk(.swiftStack).with(.roundTrip, 100), .atLeast(0.5)),
            Comparison(
                "TCP in Swift, 50,000 idle connections, bytes for each", .bytesPerConnection,
                idle(50_000, of: .swiftStack), .atMost(2048)),
            Comparison(
                "TCP in Swift, a message on one of 50,000 against one of 100", .messageTime,
                idle(50_000, of: .swiftStack), to: [idle(100, of: .swiftStack)], .atMost(1.5)),
        ]

    private static func lossy(_ subject: Subject) -> Cell {
        bulk(subject).with(.roundTrip, 20).with(.loss, 100)
    }

    private static func http(_ subject: Subject) -> Cell { Cell(subject, .http).with(.concurrency, 64) }

    private static func idle(_ count: Int, of subject: Subject = .stack) -> Cell {
        Cell(subject, .idle).with(.connections, count)
    }
}
