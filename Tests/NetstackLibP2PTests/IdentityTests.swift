// The file that keeps a host's key.

import Foundation
import NIOCore
import NetstackLibP2P
import Testing

struct IdentityTests {
    private func withPath(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "identity-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder.appending(path: "host.key").path(percentEncoded: false))
    }

    private func fails(_ path: String) {
        #expect {
            try Identity.loadOrCreate(at: path)
        } throws: { error in
            if case .identity(path, _)? = error as? LibP2PError { true } else { false }
        }
    }

    @Test func anIdentityIsStoredOnceForItsOwnerOnly() async throws {
        try await withPath { path in
            let made = try Identity.loadOrCreate(at: path)
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(try Identity.loadOrCreate(at: path).peerID == made.peerID)
            let folder = URL(filePath: path).deletingLastPathComponent()
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path()).count == 1)
        }
    }

    @Test func whoeverIsFasterHasTheFile() async throws {
        try await withPath { path in
            let peers = try await withThrowingTaskGroup(of: PeerID.self) { group in
                for _ in 0..<20 { group.addTask { try Identity.loadOrCreate(at: path).peerID } }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(peers.count == 1)
        }
    }

    @Test(arguments: [0o644, 0o640, 0o606])
    func aFileThatOthersMayUseIsRefused(_ mode: Int) async throws {
        try await withPath { path in
            _ = try Identity.loadOrCreate(at: path)
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            fails(path)
        }
    }

    @Test func aFileThatIsDamagedIsRefused() async throws {
        try await withPath { path in
            let whole = Array(Identity().serialized().readableBytesView)
            // Cut off, of another kind of key, with another public half, and none at all.
            let files = [
                Array(whole.dropLast()), [8, 2] + whole.dropFirst(2), whole.dropLast() + [(whole.last ?? 0) ^ 1], [],
            ]
            for bytes in files {
                _ = FileManager.default.createFile(
                    atPath: path, contents: Data(bytes), attributes: [.posixPermissions: 0o600])
                fails(path)
            }
        }
    }

    @Test func aPlaceThatCannotBeWrittenIsAnError() { fails("/nonexistent/host.key") }
}
