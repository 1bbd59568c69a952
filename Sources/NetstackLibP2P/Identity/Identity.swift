// The key that makes a host who it is, and the file that keeps it.

package import Crypto
import Glibc
package import NIOCore

/// The private key of a host (Ed25519). Whoever has it is that host.
public struct Identity: Sendable {
    package let key: Curve25519.Signing.PrivateKey

    /// A new one.
    public init() { self.init(Curve25519.Signing.PrivateKey()) }

    package init(_ key: Curve25519.Signing.PrivateKey) { self.key = key }

    /// The name that goes with the key.
    public var peerID: PeerID { PeerID(publicKey) }

    package var publicKey: PublicKey { PublicKey(key.publicKey) }

    // MARK: The file

    /// Longer files are not read.
    private static let fileLimit = 1024

    /// Loads the identity from a file, in the form that libp2p's implementations share. If there is no such file, a new
    /// identity is made and stored there, for its owner only (mode 0600).
    ///
    /// - Throws: `LibP2PError.identity` if the file can't be read or written, others may read it, or it holds no Ed25519
    ///   key.
    public static func loadOrCreate(at path: String) throws(LibP2PError) -> Identity {
        if let identity = try load(path) { return identity }
        let identity = Identity()
        if try identity.store(path) { return identity }
        // Another process was faster.
        guard let identity = try load(path) else { throw .identity(path: path, fault: "the file comes and goes") }
        return identity
    }

    /// Nil if there is no file.
    private static func load(_ path: String) throws(LibP2PError) -> Identity? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw .identity(path: path, fault: reason())
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .identity(path: path, fault: reason()) }
        guard status.st_mode & 0o077 == 0 else {
            throw .identity(path: path, fault: "others than its owner may use the file: it needs the mode 0600")
        }
        var bytes = [UInt8](repeating: 0, count: fileLimit)
        let count = read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw .identity(path: path, fault: reason()) }
        do {
            return try Identity(parsing: ByteBuffer(bytes: bytes[..<count]))
        } catch {
            throw .identity(path: path, fault: "\(error)")
        }
    }

    /// Whether it could be stored: false if there is a file by now. The file is there as a whole or not at all.
    private func store(_ path: String) throws(LibP2PError) -> Bool {
        let draft = "\(path).\(getpid()).\(UInt32.random(in: 0...UInt32.max))"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .identity(path: path, fault: Self.reason()) }
        defer { unlink(draft) }
        let bytes = Array(serialized().readableBytesView)
        let isWritten = write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        let fault = Self.reason()
        close(descriptor)
        guard isWritten else { throw .identity(path: path, fault: fault) }
        guard link(draft, path) == 0 else {
            if errno == EEXIST { return false }
            throw .identity(path: path, fault: Self.reason())
        }
        return true
    }

    private static func reason() -> String { String(cString: strerror(errno)) }

    /// The kind of the key, and the private key with the public one after it.
    package func serialized() -> ByteBuffer {
        var message = ProtobufMessage()
        message.append(1, PublicKey.ed25519)
        message.append(2, key.rawRepresentation + key.publicKey.rawRepresentation)
        return message.serialized()
    }

    /// - Throws: `LibP2PError.message`.
    package init(parsing bytes: ByteBuffer) throws(LibP2PError) {
        let message = try ProtobufMessage(parsing: bytes, as: "private key")
        guard message.varint(1) == PublicKey.ed25519, let data = message.bytes(2), data.readableBytes == 64,
            let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: Array(data.readableBytesView.prefix(32))),
            key.publicKey.rawRepresentation.elementsEqual(data.readableBytesView.dropFirst(32))
        else { throw .message(what: "private key", fault: "it is not an Ed25519 key with its public half") }
        self.init(key)
    }
}
