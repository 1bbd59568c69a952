// Opening connections.

import NIOCore

extension StackCore {
    /// Begins to connect. `opened` hears once, in a later turn.
    package func connect(
        to remote: TransportAddress, from local: TransportAddress? = nil, nic chosen: NICID? = nil,
        opened: @escaping (Result<TCPControlBlock, NetstackError>) -> Void
    ) throws(NetstackError) -> TCPControlBlock {
        let (nic, source) = try path(to: remote.address, nic: chosen, from: local?.address)
        guard remote.port != 0 else { throw .addressNotAvailable(remote.address, reason: "port 0 can't be dialled") }
        guard openConnectionCount < limits.connections.total else {
            throw .limitReached(what: "connections", limit: limits.connections.total)
        }
        let block = try turn { () throws(NetstackError) in
            let port = try localPort(local?.port ?? 0, at: source, to: remote, on: nic)
            let id = TCPControlBlock.ID(nic: nic.id, local: TransportAddress(source, port), remote: remote)
            let block = try engine.connect(id, on: nic)
            connections[id] = block
            return block
        }
        block.opened = { [unowned block] in opened($0.map { block }) }
        return block
    }

    /// A local port whose four-tuple is neither open nor in TIME-WAIT.
    private func localPort(
        _ wanted: UInt16, at source: IPAddress, to remote: TransportAddress, on nic: NetworkInterface
    ) throws(NetstackError) -> UInt16 {
        func isFree(_ port: UInt16) -> Bool {
            let local = TransportAddress(source, port)
            let id = TCPControlBlock.ID(nic: nic.id, local: local, remote: remote)
            return listeners.match(local) == nil && connections[id] == nil && !engine.isInTimeWait(id)
        }
        if wanted != 0 {
            guard isFree(wanted) else { throw .addressInUse(TransportAddress(source, wanted)) }
            return wanted
        }
        guard let port = freeEphemeralPort(where: isFree) else { throw .portsExhausted(remote) }
        return port
    }
}
