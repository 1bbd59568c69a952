// Certificates of tests.

import Foundation
package import NIOSSL
import Testing

/// Passes the path of a folder that is removed afterwards.
package func withFolder(_ body: (String) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try await body(folder.path)
}

/// A self-signed certificate and its key.
package struct TLSIdentity: Sendable {
    package let certificate: NIOSSLCertificate
    private let key: NIOSSLPrivateKey
    package let certificateFile: String
    package let keyFile: String

    package static func with(
        _ names: String = "DNS:localhost,IP:127.0.0.1", _ body: (TLSIdentity) async throws -> Void
    ) async throws {
        try await withFolder { folder in
            let (certificateFile, keyFile) = ("\(folder)/certificate.pem", "\(folder)/key.pem")
            _ = try await ChildProcess.run([
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=\(names)",
                "-keyout", keyFile, "-out", certificateFile,
            ])
            let certificate = try #require(NIOSSLCertificate.fromPEMFile(certificateFile).first)
            let key = try NIOSSLPrivateKey(file: keyFile, format: .pem)
            try await body(
                TLSIdentity(certificate: certificate, key: key, certificateFile: certificateFile, keyFile: keyFile))
        }
    }

    package func serverContext(protocols: [String] = []) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(certificate)], privateKey: .privateKey(key))
        configuration.applicationProtocols = protocols
        return try NIOSSLContext(configuration: configuration)
    }

    package func clientContext(protocols: [String] = []) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates([certificate])
        configuration.applicationProtocols = protocols
        return try NIOSSLContext(configuration: configuration)
    }
}
