// The order in which things happened.

import NIOConcurrencyHelpers

final class Order: Sendable {
    private let notes = NIOLockedValueBox<[String]>([])

    var all: [String] { notes.withLockedValue { $0 } }

    func note(_ note: String) { notes.withLockedValue { $0.append(note) } }
}
