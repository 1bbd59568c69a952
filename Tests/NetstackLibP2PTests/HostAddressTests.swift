// Where a host says that it can be dialled.

import NIOCore
import Netstack
import NetstackLibP2P
import Testing

struct HostAddressTests {
    @Test(arguments: ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"])
    func aHostAtEveryAddressSaysWhereItCanBeDialled(_ everywhere: String) async throws {
        let (near, far) = (LibP2PHost(configuration: .quiet()), LibP2PHost(configuration: .quiet()))
        await far.allow(near.peerID)
        let port = try #require(await far.listen(on: Multiaddr(everywhere)).port)
        let isIPv4 = everywhere.hasPrefix("/ip4")
        let loopback = try Multiaddr("\(isIPv4 ? "/ip4/127.0.0.1" : "/ip6/::1")/tcp/\(port)")
        let places = await far.listenAddresses
        #expect(places.contains(loopback.appending(far.peerID)))
        for place in places {
            #expect(place.port == port && place.peer == far.peerID)
            #expect("\(place)".hasPrefix(isIPv4 ? "/ip4/" : "/ip6/"))
            #expect(!"\(place)".hasPrefix("/ip4/0.0.0.0/") && !"\(place)".hasPrefix("/ip6/::/"))
            #expect(!"\(place)".hasPrefix("/ip4/169.254.") && !"\(place)".hasPrefix("/ip6/fe80:"))
        }
        #expect(try await near.connect(to: loopback) == far.peerID)
        let told = try await near.identify(loopback).listenAddresses
        #expect(!told.isEmpty && Set(places).isSuperset(of: told.map { $0.appending(far.peerID) }))
        await near.shutdown()
        await far.shutdown()
    }

    @Test func loopbackIsToldLast() throws {
        let others = try (1...3).map { try Multiaddr("/ip4/192.0.2.\($0)/tcp/1") }
        for loopback in try [Multiaddr("/ip4/127.0.0.1/tcp/1"), Multiaddr("/ip6/::1/tcp/1")] {
            #expect(HostAddress.told([loopback] + others) == others + [loopback])
        }
    }

    @Test func noMoreIsToldThanPeersRead() throws {
        let others = try (1...999).map { try Multiaddr("/ip6/2001:db8::\($0)/tcp/1") }
        let told = HostAddress.told(try [Multiaddr("/ip6/::1/tcp/1")] + others)
        #expect(!told.isEmpty && told.elementsEqual(others.prefix(told.count)))
        // What rust-libp2p takes, with room for names of protocols.
        #expect(Identification(listenAddresses: told).serialized().readableBytes <= 2048)
    }
}
