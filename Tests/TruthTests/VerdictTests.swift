// What nmap finds of a host's ports, through an exit and without one.

import Netstack
import TestSupport
import Testing

extension TruthTests {
    @Suite(.inNetwork) struct VerdictTests {
        /// Ports that are open (3000), closed (4000), silent (4001), and rejected, each in a way of its own.
        @Test(arguments: [IPVersion.v4, .v6])
        func everyPortHasTheVerdictAndReasonThatItHasWithoutATunnel(_ version: IPVersion) async throws {
            let network = try Network.shared
            let expected = try await scan(network, .direct, version)
            // As many as have been asked for, or there is nothing to compare with.
            #expect(expected.count == (version == .v4 ? 21 : 15))
            #expect(Set(expected.values).count >= (version == .v4 ? 12 : 9))
            for way in Way.throughAnExit {
                let seen = try await scan(network, way, version)
                for (port, verdict) in expected.sorted(by: { $0.key < $1.key }) {
                    #expect(seen[port] == verdict, "\(port) by \(way)")
                }
            }
        }

        /// "open: syn-ack" and the like, by port.
        private func scan(_ network: Network, _ way: Way, _ version: IPVersion) async throws -> [String: String] {
            let rejected = version == .v4 ? "4010-4016" : "4020-4023"
            let target = version == .v4 ? ["10.77.0.1"] : ["-6", "fd77::1"]
            // Within a machine an ICMP error can be back before connect(2) lets go of its socket, and Linux drops it then.
            // The next SYN, a second later, is answered again: so much time is given to each port.
            let line = """
                nmap -sT -sU -Pn -n --reason --max-retries 1 \
                --min-rtt-timeout 3s --initial-rtt-timeout 3s --max-rtt-timeout 3s -oX - \
                -p T:3000,4000,4001,4030,\(rejected),U:3000,4000,4001,\(rejected) \(target.joined(separator: " "))
                """
            let result = try await network.shell(way, line)
            #expect(result.status == 0, "\(result.output)")
            var verdicts: [String: String] = [:]
            let port = #/protocol="(\w+)" portid="(\d+)"><state state="([^"]+)" reason="([^"]+)"/#
            for match in result.output.matches(of: port) {
                verdicts["\(match.output.2)/\(match.output.1)"] = "\(match.output.3): \(match.output.4)"
            }
            return verdicts
        }
    }
}
