// Which TCP the stacks of the tests have.

import Foundation
package import Netstack
import SwiftStack

/// By the environment: `STACKS=swift` for both ends of a link, `STACKS=lwip,swift` for the near one and the far one, lwIP
/// if it says nothing. The same tests have to pass on each.
package enum StacksUnderTest {
    package static let near = implementation(0)
    package static let far = implementation(1)

    /// Whether lwIP is at both ends: for what is lwIP's alone.
    package static let areLwIP = names.allSatisfy { $0 == "lwip" }

    /// For programs that the tests start.
    package static let farName = name(1)

    private static let names: [String] = {
        let names = (ProcessInfo.processInfo.environment["STACKS"] ?? "").split(separator: ",").map(String.init)
        return names.isEmpty ? ["lwip"] : names
    }()

    private static func name(_ index: Int) -> String { names[min(index, names.count - 1)] }

    private static func implementation(_ index: Int) -> TCPImplementation { name(index) == "swift" ? .swift : .lwIP }
}
