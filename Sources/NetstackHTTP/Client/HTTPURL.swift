// Parses http and https URLs and resolves the references of redirects (RFC 3986).

/// Why a text is not a URL this client can fetch.
struct URLFault: Error, ExpressibleByStringInterpolation {
    let text: String

    init(stringLiteral text: String) {
        self.text = text
    }
}

/// An http or https URL, without its fragment.
package struct HTTPURL: Hashable, Sendable {
    package let origin: HTTPOrigin
    /// Path and query as they are sent; begins with a slash.
    package let path: String

    /// - Throws: `HTTPClientError.invalidURL`.
    package init(_ text: String) throws(HTTPClientError) {
        do throws(URLFault) {
            guard let colon = text.firstRange(of: "://") else { throw "it does not begin with http:// or https://" }
            let rest = text[colon.upperBound...]
            let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
            try self.init(scheme: text[..<colon.lowerBound], authority: rest[..<end], path: rest[end...])
        } catch {
            throw .invalidURL(text, fault: error.text)
        }
    }

    /// Of the parts of a request.
    ///
    /// - Throws: `HTTPClientError.invalidURL`.
    init(scheme: String, authority: String, path: String) throws(HTTPClientError) {
        do throws(URLFault) {
            guard path.isEmpty || path.hasPrefix("/") else { throw "the path has no leading slash" }
            try self.init(scheme: scheme[...], authority: authority[...], path: path[...])
        } catch {
            throw .invalidURL("\(scheme)://\(authority)\(path)", fault: error.text)
        }
    }

    private init(scheme: Substring, authority: Substring, path: Substring) throws(URLFault) {
        guard let scheme = HTTPOrigin.Scheme(rawValue: scheme.lowercased()) else {
            throw "\"\(scheme)\" is neither http nor https"
        }
        origin = try HTTPOrigin(scheme: scheme, authority: authority)
        let path = path.prefix { $0 != "#" }
        if let character = path.unicodeScalars.first(where: { !Self.isAllowed($0) }) {
            throw "\(character.escaped(asASCII: true)) must be percent-encoded"
        }
        self.path = path.hasPrefix("/") ? String(path) : "/" + path
    }

    /// What may stand in a path or query unencoded (RFC 3986 sections 3.3 and 3.4), and the brackets many servers take.
    private static func isAllowed(_ character: Unicode.Scalar) -> Bool {
        switch character {
        case "a"..."z", "A"..."Z", "0"..."9", "-", ".", "_", "~", ":", "@", "!", "$", "&", "'", "(", ")", "*", "+", ",",
            ";", "=", "/", "?", "%", "[", "]":
            true
        default: false
        }
    }

    /// The URL that a reference in a response to this URL means (RFC 3986 section 5.2).
    ///
    /// - Throws: `HTTPClientError.invalidURL`.
    package func resolving(_ reference: String) throws(HTTPClientError) -> HTTPURL {
        let reference = String(reference.prefix { $0 != "#" })
        // A colon before any slash or question mark ends a scheme (section 4.2).
        if let mark = reference.firstIndex(where: { ":/?".contains($0) }), reference[mark] == ":" {
            return try HTTPURL(reference)
        }
        if reference.hasPrefix("//") { return try HTTPURL("\(origin.scheme.rawValue):\(reference)") }
        let current = path.prefix { $0 != "?" }
        let target: String
        if reference.isEmpty {
            target = path
        } else if reference.hasPrefix("?") {
            target = current + reference
        } else {
            let split = reference.firstIndex(of: "?") ?? reference.endIndex
            // `current` begins with a slash.
            let directory = current.prefix(through: current.lastIndex(of: "/") ?? current.startIndex)
            let merged = reference.hasPrefix("/") ? reference[..<split] : directory + reference[..<split]
            target = Self.removingDotSegments(merged) + reference[split...]
        }
        return try HTTPURL(scheme: origin.scheme.rawValue, authority: origin.authority, path: target)
    }

    /// RFC 3986 section 5.2.4, for a path that begins with a slash.
    private static func removingDotSegments(_ path: Substring) -> String {
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        var kept: [Substring] = []
        for segment in segments {
            switch segment {
            case ".": break
            case "..": _ = kept.popLast()
            default: kept.append(segment)
            }
        }
        // A final dot segment leaves the directory it names.
        if segments.last == "." || segments.last == ".." { kept.append("") }
        return "/" + kept.joined(separator: "/")
    }
}

extension HTTPURL: CustomStringConvertible {
    package var description: String { "\(origin)\(path)" }
}
