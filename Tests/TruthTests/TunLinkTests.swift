// A TUN device: how it is made, what it carries, and that nothing of it is left.

import Glibc
import NIOCore
import NIOPosix
import Netstack
import NetstackLinks
import TestSupport
import Testing

extension TruthTests {
    @Suite(.inNetwork) struct TunLinkTests {
        private static let kernel = IPAddress.v4(IPv4Address(10, 79, 0, 1))
        private static let far = IPAddress.v4(IPv4Address(10, 79, 0, 2))

        /// What `ip` says about a device in the namespace of the tests; nil when there is none.
        private func device(_ name: String) async throws -> String? {
            let result = try await Network.shared.shell(.direct, "ip link show dev \(name)")
            return result.status == 0 ? result.output : nil
        }

        private func open(_ name: String? = nil, mtu: Int = 1500) async throws -> TunLink {
            try await TunLink.open(name: name, mtu: mtu, networkNamespace: Network.shared.namespace(.direct))
        }

        @Test func aDeviceIsMadeInTheOtherNamespaceAndIsUpWithItsMTU() async throws {
            let link = try await open("truth0", mtu: 1400)
            #expect(link.name == "truth0")
            #expect(link.defaultMTU == 1400)
            let seen = try #require(try await device("truth0"))
            #expect(seen.contains("mtu 1400"))
            #expect(seen.contains(",UP"))
            // And not here.
            #expect(if_nametoindex("truth0") == 0)
            await link.close()
            #expect(try await device("truth0") == nil)
        }

        @Test func theKernelNamesADeviceThatIsGivenNoName() async throws {
            let link = try await open()
            #expect(link.name.hasPrefix("tun"))
            await link.close()
            #expect(try await device(link.name) == nil)
        }

        @Test func aStackTalksWithTheKernelAndItsPrograms() async throws {
            let network = try Network.shared
            let link = try await open("truth1")
            _ = try await network.shell(.direct, "ip address add \(Self.kernel) peer \(Self.far) dev truth1")
            let stack = try Stack(StacksUnderTest.near)
            try await stack.createNIC(1, link: link, addresses: [Self.far])
            try await stack.addRoute(to: .everyIPv4, via: 1)
            _ = try await stack.ping(Self.kernel)
            let listener = try await stack.listen(port: 80)
            async let request = {
                let connection = try #require(try await listener.first { _ in true })
                let request = try await connection.readToEnd()
                try await connection.write("and back\n")
                try await connection.closeWrite()
                return request
            }()
            let client = try await network.shell(.direct, "echo there | socat -t 20 - TCP:\(Self.far):80")
            #expect(try await request == ByteBuffer(string: "there\n"))
            #expect(client.output == "and back\n")
            await stack.shutdown()
            await link.close()
            #expect(try await device("truth1") == nil)
        }

        @Test func aStackDialsTheKernelAndMegabytesCrossBothWays() async throws {
            let network = try Network.shared
            let link = try await open("truth6")
            _ = try await network.shell(.direct, "ip address add \(Self.kernel) peer \(Self.far) dev truth6")
            let stack = try Stack(StacksUnderTest.near)
            try await stack.createNIC(1, link: link, addresses: [Self.far])
            try await stack.addRoute(to: .everyIPv4, via: 1)
            async let server = network.shell(
                .direct, "socat -t 20 TCP-LISTEN:7001,bind=\(Self.kernel) EXEC:cat")
            var connection: TCPConnection?
            while connection == nil {
                // Until it listens, the kernel refuses.
                do { connection = try await stack.connect(to: TransportAddress(Self.kernel, 7001)) } catch NetstackError
                    .refused
                {}
            }
            let sent = pattern(8 << 20)
            let echo = try #require(connection)
            async let received = echo.readToEnd()
            try await echo.write(sent)
            try await echo.closeWrite()
            #expect(try await received == sent)
            #expect(try await server.status == 0)
            await stack.shutdown()
            await link.close()
        }

        @Test func packetsAreReadAndWrittenByHand() async throws {
            let network = try Network.shared
            let link = try await open("truth2")
            _ = try await network.shell(.direct, "ip address add \(Self.kernel) peer \(Self.far) dev truth2")
            async let ping = network.shell(.direct, "ping -c 1 -W 20 \(Self.far)")
            // The kernel's router solicitations come here, too.
            while var packet = try await link.read() {
                guard let header = try? IPHeader(parsing: packet.readableBytesSpan), header.destination == Self.far
                else { continue }
                // With the addresses exchanged, an echo request becomes its reply by one byte; both checksums: one
                // stays as it is, and the other grows by what the type has lost (RFC 1624).
                let source = packet.readerIndex + 12
                let addresses = try #require(packet.getBytes(at: source, length: 8))
                packet.setBytes(addresses[4...] + addresses[..<4], at: source)
                let icmp = packet.readerIndex + header.headerLength
                packet.setInteger(UInt8(0), at: icmp)
                let sum = UInt32(try #require(packet.getInteger(at: icmp + 2, as: UInt16.self))) + 0x800
                packet.setInteger(UInt16(truncatingIfNeeded: sum + sum >> 16), at: icmp + 2)
                try await link.write(packet)
                break
            }
            #expect(try await ping.status == 0)
            #expect(link.packetsDropped == 0)
            await link.close()
            #expect(try await link.read() == nil)
            await #expect(throws: NetstackError.self) { try await link.write(ByteBuffer()) }
        }

        @Test func packetsThatTheKernelRefusesAreCounted() async throws {
            let link = try await open("truth3")
            try await link.write(ByteBuffer(bytes: [0xff]))
            // The next packet out of the device shows that the one into it has been dealt with.
            _ = try await Network.shared.shell(
                .direct, "ip address add \(Self.kernel) peer \(Self.far) dev truth3; ping -c 1 -W 1 \(Self.far)")
            _ = try await link.read()
            #expect(link.packetsDropped == 1)
            await link.close()
        }

        @Test func aDeviceThatIsDeletedEndsItsLinkWithAnError() async throws {
            let link = try await open("truth4")
            let stack = try Stack(StacksUnderTest.near)
            try await stack.createNIC(1, link: link, addresses: [Self.far])
            async let end: Void = stack.waitForLinkEnd(of: 1)
            _ = try await Network.shared.shell(.direct, "ip link delete truth4")
            do {
                try await end
                Issue.record("an orderly end")
            } catch NetstackError.linkDown(let reason) {
                #expect(reason != nil)
            }
            await stack.shutdown()
            await link.close()
        }

        @Test func closingLeavesNoDescriptor() async throws {
            func descriptors() throws -> Int {
                let folder = try #require(opendir("/proc/self/fd"))
                defer { closedir(folder) }
                var count = 0
                while readdir(folder) != nil { count += 1 }
                return count
            }
            // The loop that carries it has descriptors of its own, once.
            await (try open()).close()
            let before = try descriptors()
            for _ in 0..<20 { await (try open()).close() }
            #expect(try descriptors() == before)
        }

        @Test func aHeldNameIsTaken() async throws {
            let link = try await open("truth5")
            await #expect(throws: TunError.nameTaken("truth5")) { try await open("truth5") }
            await #expect(throws: TunError.nameTaken("lo")) { try await open("lo") }
            await link.close()
        }

        @Test(arguments: ["", "a/b", "a b", "a:b", ".", "..", "sixteen-letters!"])
        func aNameThatNoDeviceCanHaveIsInvalid(_ name: String) async throws {
            await #expect(throws: TunError.invalidName(name)) { try await open(name) }
        }

        @Test(arguments: [67, 65536])
        func anMTUThatNoDeviceCanHaveIsOutOfRange(_ mtu: Int) async throws {
            await #expect(throws: TunError.mtuOutOfRange(mtu, range: 68...65535)) { try await open(mtu: mtu) }
        }

        @Test(arguments: ["/proc/self/status", "/nowhere", "/proc/self/ns/uts"])
        func aPathToNoNetworkNamespaceIsAnError(_ path: String) async throws {
            let error = await #expect(throws: TunError.self) { try await TunLink.open(networkNamespace: path) }
            guard case .noNetworkNamespace(path, _)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }
}
