// Echo requests that wait for their replies.

/// Pings under way, by what their replies carry.
struct EchoTable {
    typealias Completion = (Result<Void, NetstackError>) -> Void

    private struct Key: Hashable {
        var identifier: UInt16
        var sequence: UInt16
        var peer: IPAddress
    }

    private var waiting: [Key: Completion] = [:]
    private var identifier = UInt16.random(in: 0...UInt16.max)
    private var sequence: UInt16 = 0

    /// An identifier and a sequence number that no ping under way has.
    mutating func add(_ peer: IPAddress, _ completion: @escaping Completion) throws(NetstackError) -> (UInt16, UInt16) {
        guard waiting.count < 1 << 12 else { throw .limitReached(what: "echo requests", limit: 1 << 12) }
        repeat {
            sequence &+= 1
            if sequence == 0 { identifier &+= 1 }
        } while waiting[Key(identifier: identifier, sequence: sequence, peer: peer)] != nil
        waiting[Key(identifier: identifier, sequence: sequence, peer: peer)] = completion
        return (identifier, sequence)
    }

    mutating func take(_ identifier: UInt16, _ sequence: UInt16, from peer: IPAddress) -> Completion? {
        waiting.removeValue(forKey: Key(identifier: identifier, sequence: sequence, peer: peer))
    }

    mutating func failAll(_ error: NetstackError) {
        let all = waiting.values
        waiting = [:]
        for completion in all { completion(.failure(error)) }
    }
}
