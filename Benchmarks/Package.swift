// swift-tools-version: 6.1

import PackageDescription

let package = Package(
    name: "Benchmarks",
    dependencies: [
        .package(name: "RemoteNetstack", path: "..")
    ],
    targets: [
        // The same two stacks in C, over the same library: what the wrapper is measured against.
        .target(name: "CLoop", dependencies: [.product(name: "CLwIP", package: "RemoteNetstack")]),
        .executableTarget(
            name: "c-loop",
            dependencies: ["CLoop", .product(name: "CLwIPChecksum", package: "RemoteNetstack")]),
        .executableTarget(name: "c-loop-stock", dependencies: ["CLoop"]),
    ],
    cLanguageStandard: .gnu11
)
