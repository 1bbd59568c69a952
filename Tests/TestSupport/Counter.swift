// A number for scripts and tests to share.

import NIOConcurrencyHelpers

/// A number that scripts and tests share.
package struct Counter: Sendable {
    private let box = NIOLockedValueBox(0)

    package init() {}

    package var value: Int { box.withLockedValue { $0 } }

    package func add(_ count: Int = 1) {
        box.withLockedValue { $0 += count }
    }
}
