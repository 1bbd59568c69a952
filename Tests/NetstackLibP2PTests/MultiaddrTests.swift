// Multiaddrs: their texts, their bytes, and what is none.

import NIOCore
import NetstackLibP2P
import Testing

struct MultiaddrTests {
    private static let peer = "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"

    /// Examples that implementations of multiaddr test themselves with.
    @Test(arguments: [
        ("/ip4/127.0.0.1/tcp/80", "047f000001060050"),
        ("/ip4/1.2.3.4/tcp/4321", "04010203040610e1"),
        ("/ip6/2001:8a0:7ac5:4201:3ac9:86ff:fe31:7095/tcp/8000", "29200108a07ac542013ac986fffe317095061f40"),
        ("/ip6/::1/tcp/0", "2900000000000000000000000000000001060000"),
        ("/dns4/example.com/tcp/443", "360b6578616d706c652e636f6d0601bb"),
        ("/dns6/example.com/tcp/443", "370b6578616d706c652e636f6d0601bb"),
        ("/p2p/\(peer)", "a503221220d52ebb89d85b02a284948203a62ff28389c57c9f42beec4ec20db76a68911c0b"),
        (
            "/ip4/127.0.0.1/tcp/1234/p2p/\(peer)",
            "047f0000010604d2a503221220d52ebb89d85b02a284948203a62ff28389c57c9f42beec4ec20db76a68911c0b"
        ),
    ])
    func textsAndBytesAreTheSame(_ text: String, _ bytes: String) throws {
        let address = try Multiaddr(text)
        #expect("\(address)" == text)
        #expect(Array(address.serialized().readableBytesView) == hex(bytes))
        #expect(try Multiaddr(parsing: ByteBuffer(bytes: hex(bytes))) == address)
    }

    @Test func theOldNameOfAPeerAndASlashAtTheEndAreRead() throws {
        #expect(try Multiaddr("/ipfs/\(Self.peer)/") == Multiaddr("/p2p/\(Self.peer)"))
    }

    @Test(arguments: [
        "", "/", "//", "ip4/127.0.0.1/tcp/1", "/ip4", "/ip4/", "/ip4/127.0.0.1/tcp", "/ip4/127.0.0.1/tcp/",
        "/ip4/1.2.3",
        "/ip4/1.2.3.4.5/tcp/1", "/ip4/::1/tcp/1", "/ip6/1.2.3.4/tcp/1", "/ip6/fe80::1%1/tcp/1",
        "/ip4/1.2.3.4/tcp/65536",
        "/ip4/1.2.3.4/tcp/-1", "/ip4/1.2.3.4/tcp/+1", "/ip4/1.2.3.4/udp/1/quic-v1", "/dns4/a b/tcp/1", "/p2p/x",
        "/dns4/\(String(repeating: "a", count: 254))/tcp/1",
    ])
    func whatIsNoAddressIsAnError(_ text: String) {
        #expect {
            try Multiaddr(text)
        } throws: { error in
            if case .malformed? = error as? LibP2PError { true } else { false }
        }
    }

    @Test(arguments: [
        "", "04", "047f0000", "0600", "29", "36", "360b65", "a50322", "a5030100", "9302", "80", "360161ff",
    ])
    func bytesThatAreNoAddressAreAnError(_ bytes: String) {
        #expect(throws: LibP2PError.self) { try Multiaddr(parsing: ByteBuffer(bytes: hex(bytes))) }
    }

    @Test func anAddressTellsWhoAndWhere() throws {
        let place = try Multiaddr("/ip4/127.0.0.1/tcp/80")
        let peer = try PeerID(Self.peer)
        #expect(place.port == 80)
        #expect(place.peer == nil)
        #expect(place.appending(peer).peer == peer)
        #expect(place.appending(peer).appending(peer) == place.appending(peer))
    }

    @Test func onlyAHostAndAPortCanBeDialled() throws {
        for text in ["/p2p/\(Self.peer)", "/tcp/1", "/ip4/1.2.3.4", "/ip4/1.2.3.4/tcp/1/tcp/2", "/tcp/1/ip4/1.2.3.4"] {
            #expect(try !Multiaddr(text).isDiallable, "\(text)")
        }
        #expect(try Multiaddr("/dns6/localhost/tcp/1/p2p/\(Self.peer)").isDiallable)
    }
}
