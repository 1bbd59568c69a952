// swift-tools-version: 6.1

// A package of its own, so that the library does not depend on Hummingbird.

import PackageDescription

let package = Package(
    name: "hummingbird-over-a-stack",
    dependencies: [
        .package(name: "RemoteNetstack", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
    ],
    targets: [
        .executableTarget(
            name: "example-hummingbird",
            dependencies: [
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Netstack", package: "RemoteNetstack"),
                .product(name: "NetstackHTTP", package: "RemoteNetstack"),
                .product(name: "NetstackNIO", package: "RemoteNetstack"),
                .product(name: "VNI", package: "RemoteNetstack"),
            ],
            path: "Sources")
    ],
    swiftLanguageModes: [.v6]
)
