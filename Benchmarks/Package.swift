// swift-tools-version: 6.1

import PackageDescription

// As in the package that is measured.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")

let package = Package(
    name: "Benchmarks",
    dependencies: [
        .package(name: "RemoteNetstack", path: ".."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
    ],
    targets: [
        // What is measured and what is made of it: the plan, statistics, goals, tables and charts.
        .target(name: "BenchmarkReport", swiftSettings: settings),
        // The server on the kernel's stack, in C: Swift's Glibc has no epoll.
        .target(name: "CKernelServer"),
        // How it is measured: stacks, subjects and workloads.
        .target(
            name: "BenchmarkSubjects",
            dependencies: [
                "BenchmarkReport", "CKernelServer", nio, nioPosix,
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Netstack", package: "RemoteNetstack"),
                .product(name: "NetstackLibP2P", package: "RemoteNetstack"),
                .product(name: "NetstackLinks", package: "RemoteNetstack"),
                .product(name: "NetstackNIO", package: "RemoteNetstack"),
                .product(name: "SwiftStack", package: "RemoteNetstack"),
                .product(name: "VNI", package: "RemoteNetstack"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "vni-bench",
            dependencies: [
                "BenchmarkReport", "BenchmarkSubjects", .product(name: "Netstack", package: "RemoteNetstack"),
                .product(name: "NetstackLibP2P", package: "RemoteNetstack"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        // The same two stacks in C, over the same library: what the wrapper is measured against.
        .target(name: "CLoop", dependencies: [.product(name: "CLwIP", package: "RemoteNetstack")]),
        .executableTarget(
            name: "c-loop",
            dependencies: ["CLoop", .product(name: "CLwIPChecksum", package: "RemoteNetstack")]),
        .executableTarget(name: "c-loop-stock", dependencies: ["CLoop"]),
        .testTarget(name: "BenchmarkReportTests", dependencies: ["BenchmarkReport"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11
)
