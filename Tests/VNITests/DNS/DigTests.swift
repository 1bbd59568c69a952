// dig, and the resolver of the host: real peers on both sides of an exit's name server.

import Glibc
import NIOCore
import NIOPosix
import Netstack
import Synchronization
import TestSupport
import Testing
import VNI

@Suite(.enabled(if: ChildProcess.isInstalled("dig"), "dig is missing: it is in the package bind9-dnsutils"))
struct DigTests {
    private static let names = table([
        "a.internal": ["192.0.2.1", "2001:db8::1"], "v4.internal": ["192.0.2.1"],
        "many.internal": (0..<100).map { "192.0.2.\($0)" },
    ])

    /// Runs dig against the name server of a tunnel's exit.
    private func dig(_ lookUp: NameLookup?, _ arguments: [String]) async throws -> String {
        let text = Mutex("")
        try await Tunnel.with(.memory, exit: { if let lookUp { $0.lookUpNames = lookUp } }) { tunnel in
            try await NameServerRelay.with(tunnel) { port in
                let output = try await output(
                    ["dig", "@127.0.0.1", "-p", "\(port)", "+tries=1", "+time=60"] + arguments)
                text.withLock { $0 = output }
            }
        }
        return text.withLock { $0 }
    }

    private func output(_ arguments: [String]) async throws -> String {
        try await ChildProcess.run(arguments).output
    }

    @Test(arguments: ["+notcp", "+tcp", "+noedns", "+dnssec", "+bufsize=512", "+nocookie"])
    func digReadsAddresses(_ option: String) async throws {
        #expect(try await dig(Self.names, ["+short", option, "a.internal"]) == "192.0.2.1\n")
        #expect(try await dig(Self.names, ["+short", option, "-t", "AAAA", "a.internal"]) == "2001:db8::1\n")
    }

    @Test func digTellsNoNameFromNoData() async throws {
        let nothing = try await dig(Self.names, ["none.internal"])
        #expect(nothing.contains("status: NXDOMAIN"))
        let noData = try await dig(Self.names, ["-t", "AAAA", "v4.internal"])
        #expect(noData.contains("status: NOERROR"))
        #expect(noData.contains("ANSWER: 0"))
        #expect(!noData.contains("WARNING"))
    }

    @Test func digGoesOverToTCPForWhatIsTruncated() async throws {
        let answer = try await dig(Self.names, ["many.internal"])
        #expect(answer.contains("Truncated, retrying in TCP mode"))
        #expect(answer.contains("ANSWER: 100"))
        let cut = try await dig(Self.names, ["+ignore", "many.internal"])
        #expect(cut.contains("flags: qr tc rd ra"))
    }

    @Test func digIsToldWhatIsNotImplemented() async throws {
        #expect(try await dig(Self.names, ["-c", "CH", "-t", "TXT", "version.bind"]).contains("status: NOTIMP"))
        #expect(try await dig(Self.names, ["+opcode=5", "a.internal"]).contains("status: NOTIMP"))
        // dig shows the code and then asks again with the version it has been told.
        #expect(try await dig(Self.names, ["+edns=1", "+noednsnegotiation", "a.internal"]).contains("status: BADVERS"))
    }

    // MARK: The host's resolver

    /// Whatever the host's resolver says to a program of the host, the exit says to the entrance.
    @Test func answersWithWhatTheHostKnows() async throws {
        var bytes = [CChar](repeating: 0, count: 256)
        gethostname(&bytes, bytes.count - 1)
        let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for (type, database) in [("A", "ahostsv4"), ("AAAA", "ahostsv6")] {
            let found = try await output(["getent", "--no-addrconfig", database, name])
            let expected = Set(
                found.split(separator: "\n").compactMap { $0.split(separator: " ").first.map(String.init) })
            let output = try await dig(nil, ["+short", "-t", type, name])
            let answered = Set(output.split(separator: "\n").map(String.init))
            // getent maps the addresses of IPv4 where there are none of IPv6; DNS says that there are none.
            #expect(answered == expected.filter { !$0.hasPrefix("::ffff:") })
        }
    }

    @Test func answersWithTheNameOfAnAddress() async throws {
        let name = try await output(["getent", "hosts", "127.0.0.1"]).split { " \n".contains($0) }.dropFirst().first
        let answer = try await dig(nil, ["+short", "-x", "127.0.0.1"])
        #expect(answer == name.map { "\($0).\n" })
    }

    /// Other types come from the host's name servers, whatever these say.
    @Test func answersWithWhatTheHostsNameServersSay() async throws {
        let arguments = ["+noall", "+comments", "+answer", "+nottlid", "+nocookie", "-t", "SOA", "org"]
        let direct = try await output(["dig", "+tries=1", "+time=5"] + arguments)
        guard direct.contains("status: ") else {
            return print("no name server answers this host: nothing to compare with")
        }
        let relayed = try await dig(nil, arguments)
        func facts(_ text: String) -> [Substring] { text.matches(of: /(status|ANSWER): \w+|\tSOA\t.*/).map(\.output.0) }
        #expect(facts(relayed) == facts(direct))
        // RFC 6762 section 22.1
        #expect(try await dig(nil, ["-t", "SOA", "printer.local"]).contains("status: NXDOMAIN"))
    }
}
