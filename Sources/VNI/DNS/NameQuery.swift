// What an exit's name server looks up, and what comes of that.

package import NIOCore
package import Netstack

/// A question, with what else of a query the answer depends on. Queries that are equal have one answer.
package struct NameQuery: Hashable, Sendable {
    package var question: DNSQuestion
    /// Whether the answer may use EDNS, and may come with signatures (DO).
    package var usesEDNS: Bool
    package var dnssecOK: Bool
    /// AD and CD, as far as the query has them.
    package var flags: DNSFlags

    init(_ query: DNSMessage, _ question: DNSQuestion) {
        self.question = question
        usesEDNS = query.edns != nil
        dnssecOK = query.edns?.dnssecOK ?? false
        flags = query.flags.intersection([.authenticData, .checkingDisabled])
    }
}

package enum NameAnswer: Sendable {
    /// Without records, `noError` says that there are none of the type asked for (NODATA, RFC 2308 section 2.2).
    case records(DNSResponseCode, [DNSRecord])
    /// The message of a name server; only its id is not the query's.
    case relayed(ByteBuffer)

    static func failure(_ code: DNSResponseCode) -> NameAnswer { .records(code, []) }
}

/// Finds the answer to a query. Called on a thread that it may block.
package typealias NameLookup = @Sendable (NameQuery) -> NameAnswer
