// The addresses of a name as this host knows them: its hosts file, its search list, its name servers.

import Glibc

/// What `getaddrinfo` has failed with: one of the EAI_… codes of netdb.h.
package struct HostNameFailure: Error {
    package let code: CInt
}

extension IPAddress {
    /// Asks the host's resolver, in whose order they are. Blocks.
    ///
    /// - Parameter family: `AF_INET`, `AF_INET6`, or `AF_UNSPEC` for both.
    package static func addresses(
        ofHost name: String, family: CInt = AF_UNSPEC
    ) throws(HostNameFailure) -> [IPAddress] {
        // Without AI_ADDRCONFIG: which versions the host has is for the dial to tell.
        var hints = addrinfo()
        hints.ai_family = family
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        guard code == 0 else { throw HostNameFailure(code: code) }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            if let address = TransportAddress(entry.pointee.ai_addr) { addresses.append(address.address) }
        }
        return addresses
    }
}
