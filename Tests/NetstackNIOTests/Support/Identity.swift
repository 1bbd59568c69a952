// A self-signed certificate for "localhost", and what TLS makes of it.

import Glibc
import NIOSSL
import TestSupport
import Testing

struct Identity: Sendable {
    private let certificate: NIOSSLCertificate
    private let key: NIOSSLPrivateKey

    static func make() async throws -> Identity {
        let base = "/tmp/rns-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        defer {
            unlink("\(base).key")
            unlink("\(base).pem")
        }
        _ = try await ChildProcess.run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", "\(base).key", "-out", "\(base).pem",
        ])
        return Identity(
            certificate: try #require(NIOSSLCertificate.fromPEMFile("\(base).pem").first),
            key: try NIOSSLPrivateKey(file: "\(base).key", format: .pem))
    }

    func server(protocols: [String]) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(certificate)], privateKey: .privateKey(key))
        configuration.applicationProtocols = protocols
        return try NIOSSLContext(configuration: configuration)
    }

    func client(protocols: [String]) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates([certificate])
        configuration.applicationProtocols = protocols
        return try NIOSSLContext(configuration: configuration)
    }
}
