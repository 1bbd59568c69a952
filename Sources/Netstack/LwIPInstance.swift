// lwIP keeps all its state in globals. This file turns that one global stack into many: it holds the lock that
// lets one thread into the library at a time and exchanges the globals for those of whoever enters.

import CLwIP
import CLwIPSupport
import NIOConcurrencyHelpers
import NetstackCore

/// One stack's share of the library: its listener, its interfaces, its clock.
final class LwIPInstance {
    /// The heads of this instance while another one is in the library.
    private let heads: UnsafeMutablePointer<clwip_instance>

    /// - Throws: `NetstackError.incompatibleLibrary`.
    init() throws(NetstackError) {
        try Library.check.get()
        heads = .allocate(capacity: 1)
        heads.initialize(to: clwip_instance())
    }

    /// The instance must be empty by now: what is still in its lists would never be freed.
    deinit {
        Library.lock.withLock {
            if Library.current == heads {
                var none = clwip_instance()
                clwip_exchange(heads, &none)
                Library.current = nil
            }
        }
        assert(heads.pointee.netifs == nil)
        heads.deallocate()
    }

    /// Until `leave` follows, the library is this instance's alone, and so are its globals.
    ///
    /// Not reentrant: what lwIP calls back only takes note of what happened.
    func enter() {
        Library.lock.lock()
        if Library.current != heads {
            clwip_exchange(Library.current, heads)
            Library.current = heads
        }
    }

    func leave() { Library.lock.unlock() }
}

/// The library as the process sees it.
private enum Library {
    static let lock = NIOLock()
    /// The instance whose heads are in the library's globals. Guarded by `lock`.
    nonisolated(unsafe) static var current: UnsafeMutablePointer<clwip_instance>?

    /// Initialises lwIP once, after comparing the sizes of its structs with those of the headers.
    static let check: Result<Void, NetstackError> = {
        func aligned(_ size: Int) -> Int { (size + 7) & ~7 }
        let sizes = [
            ("tcp_pcb", MemoryLayout<tcp_pcb>.size, MEMP_TCP_PCB),
            ("tcp_pcb_listen", MemoryLayout<tcp_pcb_listen>.size, MEMP_TCP_PCB_LISTEN),
            ("tcp_seg", MemoryLayout<tcp_seg>.size, MEMP_TCP_SEG),
            ("udp_pcb", MemoryLayout<udp_pcb>.size, MEMP_UDP_PCB),
            ("pbuf", MemoryLayout<pbuf>.size, MEMP_PBUF),
        ]
        for (name, header, pool) in sizes {
            let library = clwip_library_size(pool)
            if aligned(header) == aligned(library) { continue }
            return .failure(.incompatibleLibrary("struct \(name) has \(library) bytes there and \(header) here"))
        }
        guard clwip_support_loop_output_replaced() != 0, clwip_support_iss_replaced() != 0,
            clwip_support_checksum_replaced() != 0
        else {
            return .failure(
                .incompatibleLibrary("its own netif_loop_output, tcp_next_iss and ip_chksum_pseudo can't be replaced"))
        }
        lwip_init()
        return .success(())
    }()
}
