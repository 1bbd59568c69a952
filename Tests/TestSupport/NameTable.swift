// Names that exist nowhere but at an exit of a test.

import Netstack
package import VNI

/// Looks names up in a table of texts of addresses. What is not there does not exist.
package func table(_ names: [String: [String]]) -> NameLookup {
    { query in
        guard let texts = names[query.question.name.description.lowercased()] else { return .records(.nameError, []) }
        let records = texts.compactMap { text -> DNSRecord? in
            switch try? IPAddress(text) {
            case .v4(let address): DNSRecord(query.question.name, timeToLive: 1, .a(address))
            case .v6(let address): DNSRecord(query.question.name, timeToLive: 1, .aaaa(address))
            case nil: nil
            }
        }
        return .records(.noError, records.filter { $0.type == query.question.type })
    }
}
