// swift-tools-version: 6.1

import PackageDescription

let settings: [SwiftSetting] = [
    // An async call made from a stack's actor stays on its event loop: leaving it and coming back costs 17–35 µs.
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let concurrencyHelpers: Target.Dependency = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let collections: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")

let package = Package(
    name: "RemoteNetstack",
    products: [
        .library(name: "CLwIP", targets: ["CLwIP"]),
        .library(name: "CLwIPChecksum", targets: ["CLwIPChecksum"]),
        .library(name: "Netstack", targets: ["Netstack"]),
        .library(name: "SwiftStack", targets: ["SwiftStack"]),
        .library(name: "NetstackLinks", targets: ["NetstackLinks"]),
        .library(name: "NetstackNIO", targets: ["NetstackNIO"]),
        .library(name: "NetstackHTTP", targets: ["NetstackHTTP"]),
        .library(name: "NetstackLibP2P", targets: ["NetstackLibP2P"]),
        .library(name: "VNI", targets: ["VNI"]),
        .executable(name: "vni-demo", targets: ["vni-demo"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.0"),
        .package(url: "https://github.com/apple/swift-nio-http2.git", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
    ],
    targets: [
        .systemLibrary(name: "CLwIP", path: "CLwIP", pkgConfig: "lwip", providers: [.apt(["liblwip-dev"])]),
        .target(name: "CInternetChecksum"),
        .target(name: "CLwIPChecksum", dependencies: ["CInternetChecksum"]),
        .systemLibrary(name: "CLinuxTun"),
        .systemLibrary(name: "CMalloc"),
        .target(name: "CLwIPSupport", dependencies: ["CInternetChecksum", "CLwIP", "CLwIPChecksum"]),
        .target(
            name: "NetstackCore",
            dependencies: ["CInternetChecksum", "CMalloc", nio, nioPosix, concurrencyHelpers, collections],
            swiftSettings: settings),
        .target(
            name: "Netstack",
            dependencies: ["CLwIP", "CLwIPSupport", "NetstackCore", nio, concurrencyHelpers, collections],
            swiftSettings: settings),
        .target(
            name: "SwiftStack", dependencies: ["NetstackCore", nio, collections], swiftSettings: settings),
        .target(
            name: "NetstackLinks",
            dependencies: ["CLinuxTun", "Netstack", nio, nioPosix, concurrencyHelpers],
            swiftSettings: settings),
        .target(
            name: "NetstackNIO",
            dependencies: ["Netstack", nio, concurrencyHelpers, collections],
            swiftSettings: settings),
        .target(name: "CHost", linkerSettings: [.linkedLibrary("resolv")]),
        .target(
            name: "VNI",
            dependencies: ["CHost", "Netstack", nio, nioPosix, concurrencyHelpers, collections, logging],
            swiftSettings: settings),
        .target(
            name: "NetstackHTTP",
            dependencies: [
                "Netstack", "NetstackNIO", nio, nioPosix, nioHTTP1, httpTypes, logging, collections, concurrencyHelpers,
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOHTTPCompression", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: settings),
        .target(
            name: "NetstackLibP2P",
            dependencies: [
                "Netstack", "NetstackLinks", "NetstackNIO", nio, nioPosix, crypto, logging, collections,
                concurrencyHelpers,
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "vni-demo",
            dependencies: [
                "Netstack", "NetstackLibP2P", "NetstackLinks", "NetstackHTTP", "SwiftStack", "VNI", nio, nioPosix,
                nioHTTP1, httpTypes, crypto, logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .executableTarget(name: "example-raw-lwip", dependencies: ["CLwIP"], path: "Examples/raw-lwip"),
        .executableTarget(
            name: "example-memory", dependencies: ["Netstack", nio], path: "Examples/memory", swiftSettings: settings),
        .executableTarget(
            name: "example-custom-link", dependencies: ["Netstack", "VNI", nio], path: "Examples/custom-link",
            swiftSettings: settings),
        .executableTarget(
            name: "example-websocket",
            dependencies: [
                "Netstack", "NetstackNIO", nio, nioHTTP1, .product(name: "NIOWebSocket", package: "swift-nio"),
            ],
            path: "Examples/websocket", swiftSettings: settings),
        .executableTarget(
            name: "example-vni", dependencies: ["Netstack", "NetstackHTTP", "VNI", nio, httpTypes],
            path: "Examples/vni",
            swiftSettings: settings),
        .executableTarget(
            name: "example-libp2p",
            dependencies: ["Netstack", "NetstackHTTP", "NetstackLibP2P", "VNI", nio, httpTypes],
            path: "Examples/LibP2P",
            swiftSettings: settings),
        .target(
            name: "TestSupport",
            dependencies: [
                "Netstack", "NetstackLinks", "SwiftStack", "VNI", nio, nioPosix, logging, concurrencyHelpers,
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            path: "Tests/TestSupport",
            swiftSettings: settings),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "Netstack", "NetstackLibP2P", "NetstackLinks", "SwiftStack", "VNI", nio, collections, crypto,
            ],
            path: "Fuzz/Targets",
            swiftSettings: settings),
        .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets", "Netstack", nio], swiftSettings: settings),
        .testTarget(
            name: "NetstackTests",
            dependencies: ["Netstack", "SwiftStack", "TestSupport", nio, nioPosix, concurrencyHelpers],
            swiftSettings: settings),
        .testTarget(
            name: "SwiftStackTests", dependencies: ["NetstackCore", "SwiftStack", nio],
            exclude: ["Simulation/LossGrid.txt"], swiftSettings: settings),
        .testTarget(
            name: "NetstackLinksTests",
            dependencies: ["Netstack", "NetstackLinks", "VNI", "TestSupport", nio, nioPosix],
            swiftSettings: settings),
        .testTarget(
            name: "NetstackNIOTests",
            dependencies: [
                "Netstack", "NetstackLinks", "NetstackNIO", "TestSupport", nio, nioPosix, nioHTTP1, concurrencyHelpers,
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "NetstackLibP2PTests",
            dependencies: [
                "Netstack", "NetstackLinks", "NetstackLibP2P", "NetstackHTTP", "VNI", "TestSupport", nio, nioPosix,
                concurrencyHelpers, httpTypes, crypto, logging, .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            exclude: ["Peer"],
            swiftSettings: settings),
        .testTarget(
            name: "NetstackHTTPTests",
            dependencies: [
                "Netstack", "NetstackHTTP", "NetstackNIO", "VNI", "TestSupport", nio, nioPosix, nioHTTP1, httpTypes,
                logging,
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "stack-churn", dependencies: ["Netstack", nio], path: "Tests/StackChurn", swiftSettings: settings),
        .testTarget(
            name: "ProcessTests",
            dependencies: [
                "TestSupport", "example-raw-lwip", "example-memory", "example-custom-link", "example-vni",
                "example-websocket", "example-libp2p",
                "stack-churn",
                "vni-demo",
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "truth-exit", dependencies: ["Netstack", "NetstackLinks", "SwiftStack", "VNI", logging],
            path: "Tests/TruthExit",
            swiftSettings: settings),
        .testTarget(
            name: "TruthTests",
            dependencies: ["Netstack", "NetstackLinks", "TestSupport", "VNI", "truth-exit", nio, nioPosix],
            exclude: ["topology", "servers.py"],
            swiftSettings: settings),
        .testTarget(
            name: "VNITests",
            dependencies: [
                "Netstack", "NetstackLinks", "VNI", "TestSupport", nio, nioPosix, concurrencyHelpers, crypto,
            ],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
