// What ping, traceroute and dig find, through an exit and without one.

import TestSupport
import Testing

extension TruthTests {
    @Suite(.inNetwork) struct PathTests {
        /// A server, one behind a router, one that rejects all, one that no route leads to, and a link's address without
        /// anybody at it.
        @Test(arguments: ["10.77.0.1", "10.77.3.1", "10.77.0.2", "10.99.0.1", "10.77.3.99"])
        func aPingOverIPv4EndsAsItDoesWithoutATunnel(_ target: String) async throws {
            try await comparePings(target)
        }

        @Test(arguments: ["fd77::1", "fd77:3::1", "fd77::2", "fd99::1", "fd77:3::99"])
        func aPingOverIPv6EndsAsItDoesWithoutATunnel(_ target: String) async throws {
            try await comparePings(target)
        }

        private func comparePings(_ target: String) async throws {
            let network = try Network.shared
            let expected = try await ping(network, .direct, target)
            for way in Way.throughAnExit {
                let seen = try await ping(network, way, target)
                #expect(seen == expected, "by \(way)")
            }
        }

        /// The router tells the first, and the exit's kernel, which has heard it, the second.
        @Test(arguments: ["10.77.3.1", "fd77:3::1"])
        func thePathsMTUIsToldAsItIsWithoutATunnel(_ target: String) async throws {
            let network = try Network.shared
            func told(_ way: Way) async throws -> Substring? {
                let line = try await ping(network, way, target, "-M", "do", "-s", "1400")
                return line.split(separator: " icmp_seq=1 ").last
            }
            let expected = try await told(.direct)
            #expect(expected?.contains("1300") == true)
            for way in Way.throughAnExit {
                let seen = try await told(way)
                #expect(seen == expected, "by \(way)")
            }
        }

        /// The first line that tells of the echo request, without times and hop limits.
        private func ping(
            _ network: Network, _ way: Way, _ target: String, _ options: String...
        ) async throws -> String {
            let words = ["ping", "-n", "-c", "1", "-W", "5"] + options + [target]
            let result = try await network.shell(way, words.joined(separator: " "))
            let line = result.output.split(separator: "\n").first { $0.contains("icmp_seq") }
            let news = try #require(line, "\(result.output)")
            return asThroughTheExit(String(try #require(news.split(separator: " ttl=").first)))
        }

        @Test(arguments: ["", "-I"], ["10.77.3.1", "10.99.0.1", "fd77:3::1", "fd99::1"])
        func aTraceBeginsAtTheExitAndGoesOnAsItDoesWithoutATunnel(_ probe: String, _ target: String) async throws {
            let network = try Network.shared
            let exit = target.contains(":") ? "fd52:4e53::fe" : "100.127.255.254"
            let expected = try await trace(network, .direct, probe, target)
            #expect(expected.isEmpty == false)
            for way in Way.throughAnExit {
                let seen = try await trace(network, way, probe, target)
                #expect(seen == [exit] + expected, "by \(way)")
            }
        }

        /// The address and the remark, like `!N`, of each hop.
        private func trace(
            _ network: Network, _ way: Way, _ probe: String, _ target: String
        ) async throws -> [String] {
            let result = try await network.shell(way, "traceroute -n -q 1 -m 6 -w 5 \(probe) \(target)")
            return result.output.split(separator: "\n").dropFirst().map { line in
                let words = line.split(separator: " ").dropFirst()
                let telling = words.filter { !$0.contains("ms") && Double($0) == nil }
                return asThroughTheExit(telling.joined(separator: " "))
            }
        }

        /// The host has one address towards `direct` and another towards `exit`.
        private func asThroughTheExit(_ line: String) -> String {
            line.replacing("10.77.2.254", with: "10.77.1.254").replacing("fd77:2::fe", with: "fd77:1::fe")
        }

        /// The names are those of the hosts file that the exit's process sees.
        @Test(arguments: ["100.127.255.254", "fd52:4e53::fe"], ["", "+tcp"])
        func theExitResolvesNamesOfItsHostsFile(_ server: String, _ transport: String) async throws {
            let network = try Network.shared
            for (type, address) in [("A", "10.77.0.1"), ("AAAA", "fd77::1")] {
                let line = "dig @\(server) +short +time=5 +tries=1 \(transport) host.truth.test \(type)"
                let result = try await network.shell(.tunnel, line)
                #expect(result.output == "\(address)\n")
            }
        }
    }
}
