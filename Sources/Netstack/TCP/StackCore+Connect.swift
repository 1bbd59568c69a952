// Opening connections, and the addresses of connections as lwIP writes them.

import CLwIP
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
        let result = turn { () -> Result<TCPControlBlock, NetstackError> in
            let port: UInt16
            do throws(NetstackError) {
                port = try localPort(local?.port ?? 0, at: source, to: remote, on: nic)
            } catch {
                return .failure(error)
            }
            guard let pcb = tcp_new_ip_type(UInt8((source.version == .v4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6).rawValue))
            else {
                return .failure(.library(operation: "a new connection", code: Int(ERR_MEM.rawValue)))
            }
            let id = TCPControlBlock.ID(nic: nic.id, local: TransportAddress(source, port), remote: remote)
            var destination = remote.address.library(on: nic)
            pcb.pointee.local_ip = source.library(on: nic)
            pcb.pointee.local_port = port
            pcb.pointee.netif_idx = nic.index
            let block = TCPControlBlock(pcb, id: id, on: nic, stack: self)
            let code = tcp_connect(pcb, &destination, remote.port) { argument, _, _ in
                if let argument {
                    Unmanaged<TCPControlBlock>.fromOpaque(argument)._withUnsafeGuaranteedRef { $0.libraryOpened() }
                }
                return err_t(ERR_OK.rawValue)
            }
            guard code == 0 else {
                tcp_abandon(pcb, 0)
                return .failure(.library(operation: "a connect", code: Int(code)))
            }
            connections[id] = block
            // It stands in lwIP's list: taken back as if it had been lent.
            lend(block) { _ in }
            return .success(block)
        }
        let block = try result.get()
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
            return listeners.match(local) == nil && connections[id] == nil && timeWait[id] == nil
        }
        if wanted != 0 {
            guard isFree(wanted) else { throw .addressInUse(TransportAddress(source, wanted)) }
            return wanted
        }
        // RFC 6056, algorithm 1: a random start, then the next that is free.
        let start = UInt16.random(in: ephemeralPorts)
        for offset in 0..<UInt16(ephemeralPorts.count) {
            let port = ephemeralPort(start, offset)
            if isFree(port) { return port }
        }
        throw .portsExhausted(remote)
    }
}

extension IPAddress {
    /// The address as lwIP writes it.
    func library(on nic: NetworkInterface) -> ip_addr_t {
        switch self {
        case .v4(let address):
            return clwip_ip4(address.rawValue)
        case .v6(let address):
            let (high, low) = (address.rawValue >> 64, address.rawValue)
            var result = clwip_ip6(UInt64(truncatingIfNeeded: high), UInt64(truncatingIfNeeded: low))
            clwip_set_zone(&result, nic.netif)
            return result
        }
    }
}
