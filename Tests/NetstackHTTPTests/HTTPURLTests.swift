// URLs, and references to them.

import NetstackHTTP
import Testing

struct HTTPURLTests {
    @Test(
        "splits URLs",
        arguments: [
            ("http://example.com", "http", "example.com", 80, "/", "example.com"),
            ("HTTPS://Example.COM/a?b=c#d", "https", "example.com", 443, "/a?b=c", "example.com"),
            ("http://10.0.0.1:8080/x", "http", "10.0.0.1", 8080, "/x", "10.0.0.1:8080"),
            ("http://[fd00::1]:81/", "http", "fd00::1", 81, "/", "[fd00::1]:81"),
            ("https://[2001:DB8::1]", "https", "2001:db8::1", 443, "/", "[2001:db8::1]"),
            ("http://host:80/", "http", "host", 80, "/", "host"),
            ("https://host:80?q", "https", "host", 80, "/?q", "host:80"),
            ("http://host:#f", "http", "host", 80, "/", "host"),
            ("http://a_b.c/%20/[x]", "http", "a_b.c", 80, "/%20/[x]", "a_b.c"),
        ])
    func splits(_ text: String, scheme: String, host: String, port: Int, path: String, authority: String) throws {
        let url = try HTTPURL(text)
        #expect(url.origin.scheme.rawValue == scheme)
        #expect(url.origin.host == host)
        #expect(url.origin.port == port)
        #expect(url.path == path)
        #expect(url.origin.authority == authority)
    }

    @Test(
        "says what is wrong with a URL",
        arguments: [
            ("", "does not begin with"), ("example.com/", "does not begin with"), ("ftp://host/", "neither http"),
            ("http://", "no host"), ("http:///path", "no host"), ("http://:80/", "no host"),
            ("http://user:secret@host/", "credentials"), ("http://[::1/", "not closed"),
            ("http://[1.2.3.4]/", "not an IPv6 address"), ("http://[]/", "not an IPv6 address"),
            ("http://[::1]x/", "not a port"), ("http://host:0/", "not a port"), ("http://host:65536/", "not a port"),
            ("http://host:+80/", "not a port"), ("http://host:8o/", "not a port"), ("http://ho st/", "not a host name"),
            ("http://häuser/", "not a host name"), ("http://host/a b", "percent-encoded"),
            ("http://host/ä", "percent-encoded"), ("http://host/\r\nX: y", "percent-encoded"),
            ("http://host/\u{0}", "percent-encoded"), ("http://h\r\n/", "not a host name"),
        ])
    func refuses(_ text: String, fault: String) {
        #expect {
            _ = try HTTPURL(text)
        } throws: { error in
            guard case HTTPClientError.invalidURL(text, let reported) = error else { return false }
            return reported.contains(fault)
        }
    }

    @Test(
        "resolves references as RFC 3986 section 5.4 does",
        arguments: [
            ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"), ("#s", "/b/c/d;p?q"), ("g#s", "/b/c/g"), (";x", "/b/c/;x"), ("", "/b/c/d;p?q"),
            (".", "/b/c/"), ("./", "/b/c/"), ("..", "/b/"), ("../g", "/b/g"), ("../..", "/"), ("../../g", "/g"),
            ("../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"), ("g..", "/b/c/g.."), ("./g/.", "/b/c/g/"),
            ("g/../h", "/b/c/h"), ("g?y/../x", "/b/c/g?y/../x"), ("g;x=1/../y", "/b/c/y"),
        ])
    func resolves(_ reference: String, path: String) throws {
        let base = try HTTPURL("http://a:81/b/c/d;p?q")
        try #expect(base.resolving(reference) == HTTPURL("http://a:81\(path)"))
    }

    @Test func resolvesReferencesToOtherHosts() throws {
        let base = try HTTPURL("https://a/b/c")
        try #expect(base.resolving("//g:8/x") == HTTPURL("https://g:8/x"))
        try #expect(base.resolving("http://g/y?z") == HTTPURL("http://g/y?z"))
        #expect(throws: HTTPClientError.self) { try base.resolving("mailto:a@b") }
    }

    @Test func namesServersInTLSByNameOnly() throws {
        try #expect(HTTPURL("https://example.com./").origin.serverName == "example.com")
        try #expect(HTTPURL("https://127.0.0.1/").origin.serverName == nil)
        try #expect(HTTPURL("https://[::1]/").origin.serverName == nil)
    }
}
