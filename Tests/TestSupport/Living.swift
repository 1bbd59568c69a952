// Counts the channels that have not been freed.

import NIOConcurrencyHelpers
import NIOCore

final class Living: Sendable {
    private struct Reference {
        weak var channel: (any Channel)?
    }

    private let references = NIOLockedValueBox<[Reference]>([])

    var count: Int {
        references.withLockedValue { references in
            references.removeAll { $0.channel == nil }
            return references.count
        }
    }

    func add(_ channel: any Channel) { references.withLockedValue { $0.append(Reference(channel: channel)) } }
}
