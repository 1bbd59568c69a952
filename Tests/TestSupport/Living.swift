// Counts the channels that have not been freed.

import NIOConcurrencyHelpers
package import NIOCore

package final class Living: Sendable {
    private struct Reference {
        weak var channel: (any Channel)?
    }

    private let references = NIOLockedValueBox<[Reference]>([])

    package init() {}

    package var count: Int {
        references.withLockedValue { references in
            references.removeAll { $0.channel == nil }
            return references.count
        }
    }

    package func add(_ channel: any Channel) { references.withLockedValue { $0.append(Reference(channel: channel)) } }
}
