// Addresses with ports: faults in brackets and ports, and order.

import Netstack
import Testing

@Suite struct TransportAddressTests {
    @Test(arguments: [
        ("[fd00::1]", "the port is missing"), ("[fd00::1]443", "the port is missing"),
        ("[fd00::1]:", "the port is empty"),
        ("[fd00::1:443", "a bracket is not closed"), ("[::1%lo]:80", "zones are not supported"),
        ("::1", "an IPv6 address with a port needs brackets, as in [::1]:80"),
        ("[]:80", "only IPv6 addresses stand in brackets"),
        ("10.0.0.1:080", "the port has a leading zero"),
        ("10.0.0.1:+80", "the port has a character that is not a digit"),
        ("10.0.0.1:99999999999999999999", "the port is above 65535"), ("localhost:80", "it has 1 of 4 parts"),
    ])
    func namesTheFault(_ text: String, _ fault: String) {
        #expect(throws: NetstackError.malformed(kind: "an address with a port", text: text, fault: fault)) {
            try TransportAddress(text)
        }
    }

    @Test func readsBackEachItPrints() throws {
        var random = SplitMix64(seed: 8445)
        for _ in 0..<5_000 {
            let v4 = IPAddress.v4(IPv4Address(rawValue: UInt32.random(in: 0 ... .max, using: &random)))
            let v6 = IPAddress.v6(IPv6Address(rawValue: UInt128(random.next()) << 64 | UInt128(random.next())))
            let port = UInt16.random(in: 0 ... .max, using: &random)
            for address in [TransportAddress(v4, port), TransportAddress(v6, port)] {
                #expect(try TransportAddress(address.description) == address)
            }
        }
    }

    @Test func ordersByAddressThenByPort() throws {
        let sorted = ["9.0.0.0:9", "10.0.0.0:80", "10.0.0.0:443", "[::]:0", "[::1]:0"]
        let addresses = try sorted.map { try TransportAddress($0) }
        #expect(addresses.reversed().sorted() == addresses)
    }
}
