// swift-tools-version: 6.1

// A package of its own, so that the library does not depend on gRPC.

import PackageDescription

let package = Package(
    name: "grpc-over-a-stack",
    dependencies: [
        .package(name: "RemoteNetstack", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2.git", from: "2.4.0"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport.git", from: "2.9.0"),
    ],
    targets: [
        .executableTarget(
            name: "example-grpc",
            dependencies: [
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2", package: "grpc-swift-nio-transport"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Netstack", package: "RemoteNetstack"),
                .product(name: "NetstackNIO", package: "RemoteNetstack"),
            ],
            path: "Sources")
    ],
    swiftLanguageModes: [.v6]
)
