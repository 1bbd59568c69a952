// Names as the host of an exit knows them: its hosts file, its search list, its name servers.

import CHost
import Glibc
import NIOCore
import Netstack

/// Looks names up as any program of the host would. All of it blocks.
enum SystemNames {
    /// How long an answer may be kept, in seconds: not long, for the host's resolver does not tell.
    static let timeToLive: UInt32 = 10

    static func lookUp(_ query: NameQuery) -> NameAnswer {
        let question = query.question
        if question.name.isHostName {
            if question.type == .a { return addresses(question, AF_INET) }
            if question.type == .aaaa { return addresses(question, AF_INET6) }
        }
        if question.type == .ptr, let address = question.name.reverseAddress { return name(of: address, question) }
        return relay(query)
    }

    // MARK: Addresses

    private static func addresses(_ question: DNSQuestion, _ family: CInt) -> NameAnswer {
        let name = question.name.description
        do throws(HostNameFailure) {
            let addresses = try IPAddress.addresses(ofHost: name, family: family)
            return .records(
                .noError,
                addresses.map { address in
                    let data: DNSRecord.Data =
                        switch address {
                        case .v4(let address): .a(address)
                        case .v6(let address): .aaaa(address)
                        }
                    return DNSRecord(question.name, timeToLive: timeToLive, data)
                })
        } catch {
            switch error.code {
            case noData, noAddressOfFamily: return .failure(.noError)
            case EAI_NONAME:
                // A name of the hosts file is unknown to the name servers, which are asked for what that does not have.
                return .failure(isKnown(name) ? .noError : .nameError)
            default: return .failure(.serverFailure)
            }
        }
    }

    /// Whether the host knows an address of either version.
    private static func isKnown(_ name: String) -> Bool { (try? IPAddress.addresses(ofHost: name))?.isEmpty == false }

    /// EAI_NODATA and EAI_ADDRFAMILY of glibc's netdb.h, which are beyond POSIX: Swift does not see them.
    private static let noData: CInt = -5
    private static let noAddressOfFamily: CInt = -9

    // MARK: Names of addresses

    private static func name(of address: IPAddress, _ question: DNSQuestion) -> NameAnswer {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let code = try? TransportAddress(address, 0).socketAddress().withSockAddr { socketAddress, length in
            getnameinfo(
                socketAddress, socklen_t(length), &text, socklen_t(text.count), nil, 0, CInt(NI_NAMEREQD))
        }
        switch code {
        case 0:
            let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            guard let name = try? DNSName(String(decoding: bytes, as: UTF8.self)) else {
                return .failure(.serverFailure)
            }
            return .records(.noError, [DNSRecord(question.name, timeToLive: timeToLive, .ptr(name))])
        case EAI_NONAME: return .failure(.nameError)
        default: return .failure(.serverFailure)
        }
    }

    // MARK: Everything else

    /// Asks the host's name servers. The query is one of our own: its id is ours, and EDNS is between neighbours only (RFC
    /// 6891 section 6.2.6).
    private static func relay(_ query: NameQuery) -> NameAnswer {
        let name = query.question.name
        // RFC 6762 section 22.1: not for name servers.
        if name.isWithin("local") { return .failure(.nameError) }
        var message = DNSMessage(
            id: .random(in: 0 ... .max), flags: query.flags.union(.recursionDesired), question: query.question)
        if query.usesEDNS { message.edns = EDNS(dnssecOK: query.dnssecOK) }
        let bytes = message.encoded()
        var reply = ByteBuffer()
        reply.writeWithUnsafeMutableBytes(minimumWritableBytes: DNSMessage.maximumLength) { reply in
            let length = bytes.withUnsafeReadableBytes {
                host_relay_query(
                    $0.baseAddress, CInt($0.count), reply.baseAddress, CInt(DNSMessage.maximumLength))
            }
            return max(0, Int(length))
        }
        guard let answer = try? DNSMessage(parsing: reply.readableBytesSpan), answer.question == query.question else {
            return .failure(.serverFailure)
        }
        // The hosts file, or the search list, may well have it.
        if answer.responseCode == .nameError, name.isHostName, isKnown(name.description) { return .failure(.noError) }
        return .relayed(reply)
    }
}
